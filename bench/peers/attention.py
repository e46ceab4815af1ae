"""Times attn, PyTorch and ONNX Runtime on the same shapes, in turn, and prints Markdown tables.

Each program computes for a short slice of time, then the next one, for several rounds, so that what else the machine does
disturbs all of them alike. A peer that is not in its turn is stopped: its threads must not spin beside the others. `attn bench`
times itself in memory, as the peers do; nobody's start is timed.
"""

import argparse
import importlib.metadata
import json
import math
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys

# What --write replaces lies between these lines.
BEGIN = "<!-- begin: bench/peers/run.sh --write -->"
END = "<!-- end: bench/peers/run.sh --write -->"

PEERS = {"pytorch": "PyTorch", "onnxruntime": "ONNX Runtime"}


def shape(name, batch, heads, q_len, kv_len, dim, causal=False, window=None, kv_heads=None):
    return {
        "name": name,
        "sizes": [batch, heads, q_len, kv_len, dim],
        "kv_heads": kv_heads or heads,
        "causal": causal,
        "window": window,
    }


SHAPES = [
    shape("8 x 1024 x 64", 1, 8, 1024, 1024, 64),
    shape("4 x 4096 x 64", 1, 4, 4096, 4096, 64),
    shape("1 x 16384 x 64", 1, 1, 16384, 16384, 64),
    shape("4 x 4096 x 128", 1, 4, 4096, 4096, 128),
    shape("1 x 4096 x 40", 1, 1, 4096, 4096, 40),
    shape("4 x 1000 x 80", 1, 4, 1000, 1000, 80),
    shape("4 x 4096 x 64 causal", 1, 4, 4096, 4096, 64, causal=True),
    shape("4 x 4096 x 128 causal", 1, 4, 4096, 4096, 128, causal=True),
    shape("batch 64, 12 x 128 x 64", 64, 12, 128, 128, 64),
    shape("32 x 2048 x 128 causal, 8 key heads", 1, 32, 2048, 2048, 128, causal=True, kv_heads=8),
    shape("1 x 16384 x 64, window 128:128", 1, 1, 16384, 16384, 64, window=[128, 128]),
    shape("32 x 1 query x 16384 keys x 128", 1, 32, 1, 16384, 128),
    shape("32 x 1 query x 16384 keys x 128, 8 key heads", 1, 32, 1, 16384, 128, kv_heads=8),
]


class Attn:
    def __init__(self, program, processor):
        self.program = program
        self.processor = processor

    def prepare(self, shape, threads):
        sizes = ",".join(map(str, shape["sizes"]))
        self.command = [self.program, "bench", "--quiet", "--shape", sizes, "--threads", str(threads), "--to", "json"]
        if shape["kv_heads"] != shape["sizes"][1]:
            self.command += ["--kv-heads", str(shape["kv_heads"])]
        if shape["causal"]:
            self.command.append("--causal")
        if shape["window"]:
            self.command += ["--window", "{}:{}".format(*shape["window"])]
        self.record = self.bench(1)
        self.seconds = self.record["seconds_min"]

    def bench(self, repeat):
        output = subprocess.run(self.command + ["--repeat", str(repeat)], check=True, capture_output=True, text=True).stdout
        return json.loads(output)

    def run(self, seconds):
        """Shortest and median seconds of a slice (of processor time, attn says the shortest only)."""
        record = self.bench(max(1, round(seconds / self.seconds)))
        self.seconds = record["seconds_min"]
        self.record["peak_gflops"] = max(self.record["peak_gflops"], record["peak_gflops"])
        if self.processor:
            return record["processor_seconds_min"], record["processor_seconds_min"]
        return record["seconds_min"], record["seconds_median"]


class Peer:
    def __init__(self, name, processor):
        self.processor = processor
        peer = pathlib.Path(__file__).with_name("peer.py")
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(peer), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, order):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(json.dumps(order) + "\n")
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.name} ended with status {self.process.wait()}")
        self.process.send_signal(signal.SIGSTOP)
        return json.loads(answer)

    def prepare(self, shape, threads):
        """False when the library has no operator for this."""
        self.answer = self.ask({"do": "prepare", "shape": shape, "threads": threads})
        return self.answer["way"] is not None

    def run(self, seconds):
        times = self.ask({"do": "run", "seconds": seconds, "processor": self.processor})["times"]
        return min(times), min(times) if self.processor else statistics.median(times)

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


def require_agreement(shape, peers):
    """The peers must compute the same thing. (What attn computes, its tests hold to other programs.)"""
    samples = [(peer.name, peer.answer["sample"]) for peer in peers]
    for name, sample in samples[1:]:
        if not all(abs(a - b) < 1e-4 for a, b in zip(sample, samples[0][1], strict=True)):
            sys.exit(f"{shape['name']}: {name} computes {sample} and {samples[0][0]} {samples[0][1]}")


def compare(shape, threads, attn, peers, rounds, seconds):
    """Minima, and the medians of each round, of attn and each peer that can do it."""
    attn.prepare(shape, threads)
    able = [peer for peer in peers if peer.prepare(shape, threads)]
    require_agreement(shape, able)
    everyone = {"attn": attn, **{peer.name: peer for peer in able}}
    minima = {name: math.inf for name in everyone}
    medians = {name: [] for name in everyone}
    order = list(everyone)
    for _ in range(rounds):
        for name in order:
            shortest, median = everyone[name].run(seconds)
            minima[name] = min(minima[name], shortest)
            medians[name].append(median)
        order.append(order.pop(0))  # nobody always comes after the same one
    better = min((name for name in everyone if name != "attn"), key=minima.get)
    pairs = [theirs / ours for theirs, ours in zip(medians[better], medians["attn"], strict=True)]
    return {
        "shape": shape,
        "minima": minima,
        "ways": {peer.name: peer.answer["way"] for peer in able},
        "flops": attn.record["flops"],
        "bytes": attn.record["bytes"],
        "peak": attn.record["peak_gflops"],
        "by_minima": minima[better] / minima["attn"],
        "by_pairs": statistics.median(pairs),
    }


def three_digits(x):
    return f"{x:.0f}" if x >= 99.95 else f"{x:.3g}"


def rate(result, name):
    """GFLOP/s, or GB/s where there is one query: then memory is what counts."""
    if name not in result["minima"]:
        return "–"
    seconds = result["minima"][name]
    if result["shape"]["sizes"][2] == 1:
        return f"{result['bytes'] / seconds * 1e-9:.1f} GB/s"
    return three_digits(result["flops"] / seconds * 1e-9)


def milliseconds(result, name):
    return three_digits(result["minima"][name] * 1e3) if name in result["minima"] else "–"


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def table(results, threads):
    peak = max(result["peak"] for result in results)
    lines = [
        f"{threads} thread{'s' if threads > 1 else ''}, peak {peak:.0f} GFLOP/s:",
        "",
        "| heads x length x head_dim | attn, ms | GFLOP/s | of peak | PyTorch, ms | GFLOP/s | ONNX Runtime, ms | GFLOP/s "
        "| better peer / attn, minima | pairs |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results:
        share = f"{100 * result['flops'] / result['minima']['attn'] * 1e-9 / peak:.0f} %"
        cells = [result["shape"]["name"], milliseconds(result, "attn"), rate(result, "attn")]
        cells.append("" if result["shape"]["sizes"][2] == 1 else share)
        for peer in PEERS:
            cells += [milliseconds(result, peer), rate(result, peer)]
        cells += [f"{result[column]:.{2 if result[column] < 9.995 else 0}f}" for column in ("by_minima", "by_pairs")]
        lines.append(f"| {' | '.join(cells)} |")
    # A window is another amount of work for a peer that computes what it then hides.
    alike = [result for result in results if not result["shape"]["window"]]
    if alike:
        means = [geometric_mean([result[column] for result in alike]) for column in ("by_minima", "by_pairs")]
        lines.append(f"| geometric mean, without the window | | | | | | | | {means[0]:.2f} | {means[1]:.2f} |")
    return "\n".join(lines) + "\n"


def processor():
    facts = dict(re.findall(r"^(.*?)\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE))
    name = facts.get("model name", "unknown processor")
    return f"{name} (family {facts['cpu family']}, model {facts['model']})" if "model" in facts else name


def heading(attn, isa, cores, load, options):
    version = subprocess.run([attn, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    peers = ", ".join(f"{shown} {importlib.metadata.version(package)}" for package, shown in
                      {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "numpy": "NumPy"}.items())
    seconds = "Seconds are minima of processor time" if options.processor_time else "Seconds are minima"
    pairs = "shortest times" if options.processor_time else "medians"
    return (
        f"{processor()}, {cores} core{'s' if cores > 1 else ''}; {version} ({isa}), {peers}; float32, {options.rounds} rounds of "
        f"slices of {options.seconds:g} s in turn; load of the machine at the start {load:.1f}. {seconds}; the last two columns "
        f"say how many times as long the better peer takes: by minima, and as the median over the rounds of the ratio of {pairs}.\n"
    )


def around_marks(document):
    """What stands before, and behind, the two marks of a Markdown document."""
    text = pathlib.Path(document).read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        sys.exit(f"{document} does not hold the lines {BEGIN} and {END} once each, in this order")
    return text.split(BEGIN)[0], text.split(END)[1]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attn", help="the attn program")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 0.1 s")
    parser.add_argument("--rounds", type=int, help="turns of each program (default: 7)")
    parser.add_argument("--seconds", type=float, help="length of a turn (default: 0.3)")
    parser.add_argument("--threads", help="numbers of threads, as 1,4 (default: 1 and all cores)")
    parser.add_argument("--processor-time", action="store_true", help="count processor time, with one thread: for busy machines")
    parser.add_argument("--write", metavar="DOCUMENT", help="put the tables between the marks of this document, not out")
    parser.add_argument("--only", default="", help="shapes whose name contains this")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 7)
    options.seconds = options.seconds or (0.1 if options.quick else 0.3)
    if options.processor_time and options.threads not in (None, "1"):
        parser.error("--processor-time goes with --threads 1: waiting threads count, too")
    if options.processor_time:
        options.threads = "1"
    return options


def main():
    options = arguments()
    cores = len(os.sched_getaffinity(0))
    counts = sorted({int(n) for n in options.threads.split(",")}) if options.threads else sorted({1, cores})
    chosen = [one for one in SHAPES if options.only in one["name"]]
    if not chosen:
        sys.exit(f"no shape's name contains '{options.only}'")
    if options.write:
        around_marks(options.write)  # said now, and not after ten minutes
    load = os.getloadavg()[0]
    attn = Attn(options.attn, options.processor_time)
    peers = [Peer(name, options.processor_time) for name in PEERS]
    try:
        tables, ways, isa = [], set(), ""
        for threads in counts:
            results = []
            for one in chosen:
                print(f"{one['name']}, threads: {threads}", file=sys.stderr)
                results.append(compare(one, threads, attn, peers, options.rounds, options.seconds))
                ways.update(f"{PEERS[name]} {way}" for name, way in results[-1]["ways"].items())
                isa = attn.record["isa"]
            tables.append(table(results, threads))
    finally:
        for peer in peers:
            peer.close()
    text = "\n".join([heading(options.attn, isa, cores, load, options), *tables, f"The peers' ways: {'; '.join(sorted(ways))}."]) + "\n"
    if options.write:
        before, behind = around_marks(options.write)
        pathlib.Path(options.write).write_text(f"{before}{BEGIN}\n{text}{END}{behind}")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
