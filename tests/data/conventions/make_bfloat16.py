"""Makes bfloat16.safetensors and bfloat16_cases.json: attention of PyTorch in bfloat16, right and with a known deviation.

    python3 make_bfloat16.py        # needs PyTorch

A case has the arguments of `attn run` that somebody believes its output was made with, and whether it was. All steps are
PyTorch's own on bfloat16 tensors, so that each of them rounds.
"""

import json
import math

import torch
import torch.nn.functional as F

from make_conventions import HERE, write_bfloat16

HEADS, KV_HEADS, LENGTH, DIM, EARLIER, WINDOW, CAP = 4, 2, 53, 16, 9, 12, 1.5


def attend(q, k, v, scale=None, keep=None, added=None, axis=-1, twice=False, residual=False, cap=None, cap_after_mask=False):
    s = (q @ k.transpose(-1, -2)) * (1 / math.sqrt(DIM) if scale is None else scale)
    if cap and not cap_after_mask:
        s = cap * torch.tanh(s / cap)
    if added is not None:
        s = s + added.to(s.dtype)
    if keep is not None:
        s = s.masked_fill(~keep, -math.inf)
    if cap and cap_after_mask:
        s = cap * torch.tanh(s / cap)
    w = torch.softmax(s, axis)
    if twice:
        w = torch.softmax(w, -1)
    y = w @ v
    return y + q if residual else y


def band(length, left, right, offset=0):
    ahead = torch.arange(length)[None] - (torch.arange(LENGTH)[:, None] + offset)
    return (ahead >= -left) & (ahead <= right)


def turned(x, interleaved, base=10000.0):
    angle = torch.arange(x.shape[-2])[:, None] * base ** (-2 * torch.arange(DIM // 2) / DIM)
    c, s, x = angle.cos(), angle.sin(), x.float()
    y = torch.empty_like(x)
    first, second = (slice(0, None, 2), slice(1, None, 2)) if interleaved else (slice(0, DIM // 2), slice(DIM // 2, None))
    y[..., first] = x[..., first] * c - x[..., second] * s
    y[..., second] = x[..., first] * s + x[..., second] * c
    return y.bfloat16()


def main():
    torch.set_num_threads(1)
    torch.manual_seed(2019)
    draw = lambda *shape: torch.randn(1, *shape).bfloat16()
    x = {"q": draw(HEADS, LENGTH, DIM), "k": draw(HEADS, LENGTH, DIM), "v": draw(HEADS, LENGTH, DIM),
         "k2": draw(KV_HEADS, LENGTH, DIM), "v2": draw(KV_HEADS, LENGTH, DIM),
         "long_k": draw(HEADS, LENGTH + EARLIER, DIM), "long_v": draw(HEADS, LENGTH + EARLIER, DIM)}
    q, k, v, k2, v2, long_k, long_v = x.values()
    keep = (torch.rand(LENGTH, LENGTH) < 0.6) | torch.eye(LENGTH, dtype=torch.bool)
    shared = lambda a: a.repeat_interleave(HEADS // KV_HEADS, 1)
    tiled = lambda a: a.repeat(1, HEADS // KV_HEADS, 1, 1)
    far, causal = 10**6, band(LENGTH, 10**6, 0)

    file = "bfloat16.safetensors:"
    asked = ["-q", file + "q", "-k", file + "k", "-v", file + "v"]
    grouped = ["-q", file + "q", "-k", file + "k2", "-v", file + "v2"]
    long = ["-q", file + "q", "-k", file + "long_k", "-v", file + "long_v", "--causal", "--query-offset"]
    mask = [*asked, "--mask", file + "keep", "--mask-type", "keep"]
    window = [*asked, "--window", f"{WINDOW}:0"]
    rope = [*asked, "--rope", "half"]
    cap = [*asked, "--causal", "--softcap", str(CAP)]
    cases = []

    def case(name, arguments, is_right, y):
        cases.append({"name": name, "arguments": arguments, "is_right": is_right})
        x[name] = y.bfloat16()

    case("right", asked, True, attend(q, k, v))
    case("right-fused", asked, True, F.scaled_dot_product_attention(q, k, v))
    case("right-causal", [*asked, "--causal"], True, attend(q, k, v, keep=causal))
    case("right-causal-fused", [*asked, "--causal"], True, F.scaled_dot_product_attention(q, k, v, is_causal=True))
    case("right-mask", mask, True, attend(q, k, v, keep=keep))
    case("right-mask-fused", mask, True, F.scaled_dot_product_attention(q, k, v, attn_mask=keep))
    case("right-grouped", grouped, True, attend(q, shared(k2), shared(v2)))
    case("right-window", window, True, attend(q, k, v, keep=band(LENGTH, WINDOW, 0)))
    case("right-rope", rope, True, attend(turned(q, False), turned(k, False), v))
    case("right-softcap", cap, True, attend(q, k, v, cap=CAP, keep=causal))
    case("right-end", [*long, "end"], True, attend(q, long_k, long_v, keep=band(LENGTH + EARLIER, far, 0, EARLIER)))
    case("right-residual", [*asked, "--residual"], True, attend(q, k, v, residual=True))
    case("right-twice", [*asked, "--normalize", "double-softmax"], True, attend(q, k, v, twice=True))

    case("unscaled", asked, False, attend(q, k, v, scale=1))
    case("model-width", asked, False, attend(q, k, v, scale=1 / math.sqrt(HEADS * DIM)))
    case("mask-inverted", mask, False, attend(q, k, v, keep=~keep))
    case("mask-added", mask, False, attend(q, k, v, added=keep))
    case("aligned-start", [*long, "end"], False, attend(q, long_k, long_v, keep=band(LENGTH + EARLIER, far, 0)))
    case("aligned-end", [*long, "0"], False, attend(q, long_k, long_v, keep=band(LENGTH + EARLIER, far, 0, EARLIER)))
    case("window-shorter", window, False, attend(q, k, v, keep=band(LENGTH, WINDOW - 1, 0)))
    case("window-longer", window, False, attend(q, k, v, keep=band(LENGTH, WINDOW + 1, 0)))
    case("over-queries", asked, False, attend(q, k, v, axis=-2))
    case("softmax-twice", asked, False, attend(q, k, v, twice=True))
    case("tiled-heads", grouped, False, attend(q, tiled(k2), tiled(v2)))
    case("rope-interleaved", rope, False, attend(turned(q, True), turned(k, True), v))
    case("softcap-after-mask", cap, False, attend(q, k, v, cap=CAP, cap_after_mask=True, keep=causal))
    case("residual-added", asked, False, attend(q, k, v, residual=True))

    x["keep"] = keep.bfloat16()
    write_bfloat16(HERE / "bfloat16.safetensors", x)
    lines = ",\n".join("  " + json.dumps(c) for c in cases)
    (HERE / "bfloat16_cases.json").write_text(f"[\n{lines}\n]\n")
    print(len(cases), "cases")


if __name__ == "__main__":
    main()
