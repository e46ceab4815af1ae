"""Times `attn layer` and PyTorch's nn.TransformerEncoderLayer in turn: layer.py ATTN WIDTH HEADS HIDDEN ROWS THREADS [ROUNDS].

Both compute the same layer (post-norm, GELU, float32, no mask) from the same random parameters and rows, PyTorch in eval mode.
attn is started anew in each round and says in its report how long it computed; PyTorch is warm and times its forward pass, with
and without its own fast path for layers in eval mode. Prints the shortest of each in milliseconds, by the clock and in processor
time of all threads, and the largest difference of the results.
"""

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from safetensors.torch import save_file


def processor_seconds(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def main():
    attn = str(pathlib.Path(sys.argv[1]).resolve())
    width, heads, hidden, rows, threads = (int(text) for text in sys.argv[2:7])
    rounds = int(sys.argv[7]) if len(sys.argv) > 7 else 8
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    layer = torch.nn.TransformerEncoderLayer(width, heads, hidden, activation="gelu", batch_first=True).eval()
    x = torch.randn(1, rows, width)
    ours, ours_processor = [], []
    theirs = {True: [], False: []}
    theirs_processor = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        os.chdir(folder)
        save_file({"layer." + name: value.contiguous() for name, value in layer.state_dict().items()}, "layer.safetensors")
        np.save("x.npy", x.numpy())
        command = [attn, "layer", "x.npy", "--params", "layer.safetensors", "--params-prefix", "layer", "--heads", str(heads),
                   "--activation", "gelu", "--threads", str(threads), "-o", "y.npy", "--report", "report.json"]
        for _ in range(rounds):
            start = processor_seconds(resource.RUSAGE_CHILDREN)
            subprocess.run(command, check=True)
            ours_processor.append(processor_seconds(resource.RUSAGE_CHILDREN) - start)
            ours.append(json.loads(pathlib.Path("report.json").read_text())["seconds"]["attend"])
            for fast in (True, False):
                torch.backends.mha.set_fastpath_enabled(fast)
                start, started = processor_seconds(resource.RUSAGE_SELF), time.perf_counter()
                y = layer(x)
                theirs[fast].append(time.perf_counter() - started)
                theirs_processor[fast].append(processor_seconds(resource.RUSAGE_SELF) - start)
        difference = np.abs(np.load("y.npy") - y.numpy()).max()
    print(f"{rows} rows of {width}, {heads} heads, {hidden} hidden, {threads} threads: milliseconds (clock, processor)")
    print(f"attn                       {min(ours) * 1e3:9.1f} {min(ours_processor) * 1e3:9.1f}"
          "   (the processor's with starting, reading and writing)")
    for fast, name in ((True, "PyTorch"), (False, "PyTorch without fast path")):
        print(f"{name:<26} {min(theirs[fast]) * 1e3:9.1f} {min(theirs_processor[fast]) * 1e3:9.1f}   "
              f"{min(theirs[fast]) / min(ours):.2f} and {min(theirs_processor[fast]) / min(ours_processor):.2f} times attn's")
    print(f"largest difference {difference:.2g}")


if __name__ == "__main__":
    main()
