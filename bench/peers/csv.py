"""Times `attn convert` and polars on the same CSV, in turns, and checks that the round trip keeps every bit.

Both sides are whole processes that read a file and write a file, so that both pay for their start; polars' start (its import) is
also given apart and taken off in a second ratio, because it says nothing about CSV. The fastest of the turns counts: other
programs on the machine can only make a run slower.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

READ = "import polars as pl, numpy as np, sys; np.save(sys.argv[2], pl.read_csv(sys.argv[1], schema_overrides=[pl.Float32]*{columns}).to_numpy())"
WRITE = "import polars as pl, numpy as np, sys; pl.DataFrame(np.load(sys.argv[1])).write_csv(sys.argv[2])"
START = "import polars as pl, numpy as np"


def seconds(command):
    begin = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attn", help="the attn program")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=384)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--folder", help="where the files go (default: a temporary folder)")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = pathlib.Path(name)
        values = np.random.default_rng(1).standard_normal((options.rows, options.columns)).astype(np.float32)
        np.save(folder / "x.npy", values)
        header = ",".join(f"c{i}" for i in range(options.columns))
        subprocess.run([options.attn, "convert", folder / "x.npy", folder / "rows.csv"], check=True)
        (folder / "x.csv").write_bytes(header.encode() + b"\n" + (folder / "rows.csv").read_bytes())
        size = (folder / "x.csv").stat().st_size / 1e6

        python = sys.executable
        jobs = {
            "attn read": [options.attn, "convert", folder / "x.csv", folder / "attn.npy"],
            "polars read": [python, "-c", READ.format(columns=options.columns), folder / "x.csv", folder / "polars.npy"],
            "attn write": [options.attn, "convert", folder / "x.npy", folder / "attn.csv"],
            "polars write": [python, "-c", WRITE, folder / "x.npy", folder / "polars.csv"],
            "polars start": [python, "-c", START],
        }
        best = {job: float("inf") for job in jobs}
        for _ in range(options.turns):
            for job, command in jobs.items():
                best[job] = min(best[job], seconds(command))

        start = best.pop("polars start")
        print(f"{options.rows} x {options.columns} float32, {size:.1f} MB of text, fastest of {options.turns} turns")
        for job, time_taken in best.items():
            print(f"{job:14} {time_taken:7.3f} s {size / time_taken:7.0f} MB/s")
        print(f"{'polars start':14} {start:7.3f} s")
        for what in ("read", "write"):
            ours, theirs = best[f"attn {what}"], best[f"polars {what}"]
            print(f"{what}: {theirs / ours:.2f} times as fast as polars, {(theirs - start) / ours:.2f} without its start")

        subprocess.run([options.attn, "convert", folder / "attn.csv", folder / "back.npy"], check=True)
        for back in ("attn.npy", "back.npy"):
            if not np.array_equal(np.load(folder / back).view(np.uint32), values.view(np.uint32)):
                sys.exit(f"{back}: the round trip changed bits")
        print("round trip: every bit kept")


if __name__ == "__main__":
    main()
