"""Holds attn verify to PyTorch's bfloat16 attention on data of many kinds, none of which it may reject; prints how near it came.

    python3 judge_bfloat16.py ATTN        # needs PyTorch; ends with status 1 when an output was rejected
"""

import json
import math
import pathlib
import subprocess
import sys
import tempfile

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from make_conventions import write_bfloat16

SHAPES = ((33, 40, 16), (64, 300, 64), (17, 1000, 128), (128, 128, 80))  # queries, keys, features; causal where it is square


def draw(kind, n, m, d):
    q, k, v = (torch.randn(1, 2, length, d) for length in (n, m, m))
    one_hot = lambda length: F.one_hot(torch.randint(0, d, (1, 2, length)), d).float()
    if kind == "large":
        q, k = 3 * q, 3 * k
    elif kind == "values far from 0":
        v = v.abs() + 5
    elif kind == "one-hot":
        q, k = 3 * one_hot(n), one_hot(m)
    elif kind == "equal keys":
        k = k[:, :, :1].expand(1, 2, m, d).clone()
    elif kind == "counts":
        q, k = torch.randint(0, 3, q.shape).float(), torch.randint(0, 3, k.shape).float()
    elif kind == "keys far from 0":
        q, k = q + 2, k + 4
    elif kind == "one long key":
        k[:, :, 0] *= 20
        q[..., 0] *= 10
    elif kind == "ones":
        q, k, v = (torch.ones_like(x) for x in (q, k, v))
    return [x.bfloat16() for x in (q, k, v)]


def outputs(q, k, v, causal):
    scale = 1 / math.sqrt(q.shape[-1])
    hidden = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).triu(1)
    softmax = lambda s: torch.softmax(s.masked_fill(hidden, -math.inf) if causal else s, -1)
    yield "fused", F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    with sdpa_kernel(SDPBackend.MATH):
        yield "math", F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    yield "composed", softmax((q @ k.transpose(-1, -2)) * scale) @ v
    yield "scaled-query", softmax((q * scale) @ k.transpose(-1, -2)) @ v


def main(attn):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    rejected = 0
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "t.safetensors"
        for kind in ("normal", "large", "values far from 0", "one-hot", "equal keys", "counts", "keys far from 0", "one long key", "ones"):
            nearest = 0
            for n, m, d in 2 * SHAPES:
                q, k, v = draw(kind, n, m, d)
                made = dict(outputs(q, k, v, n == m))
                write_bfloat16(file, {"q": q, "k": k, "v": v, **made})
                for way in made:
                    words = [attn, "verify", "--to", "json", "--claim", f"{file}:{way}", *(["--causal"] if n == m else [])]
                    words += [w for x in "qkv" for w in (f"-{x}", f"{file}:{x}")]
                    judged = json.loads(subprocess.run(words, capture_output=True, text=True, check=False).stdout)
                    nearest = max(nearest, judged["claims"][0]["largest_ratio"])
                    if not judged["holds"]:
                        rejected += 1
                        print("rejected:", kind, way, n, m, d)
            print(f"{kind:18} largest error / bound {nearest:.2f}")
    return 1 if rejected else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
