"""Makes the claims in this folder: attention outputs of NumPy code with a known deviation, and of PyTorch without one.

    python3 make_conventions.py            # inputs.npz, params.npz, claims.npz, cases.json (needs NumPy)
    python3 make_conventions.py --torch    # torch.npz, torch_bf16.safetensors (needs PyTorch besides)

Each case of cases.json has the arguments of `attn run` that somebody believes the claim was made with, and the deviations that it
was really made with, by the names that `attn identify` uses. Nothing here knows attn's code.
"""

import json
import math
import pathlib
import struct
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
BATCH, HEADS, KV_HEADS, LENGTH, DIM = 2, 4, 2, 12, 8
EARLIER = 7  # keys before the queries in the rectangular cases


def inputs():
    rng = np.random.default_rng(2017)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    keep = rng.random((LENGTH, LENGTH)) < 0.6
    keep[np.arange(LENGTH), np.arange(LENGTH)] = True
    keep[np.arange(LENGTH), np.arange(LENGTH) - 1] = False
    return {
        "q": 1.5 * draw(BATCH, HEADS, LENGTH, DIM),
        "k": 1.5 * draw(BATCH, HEADS, LENGTH, DIM),
        "v": draw(BATCH, HEADS, LENGTH, DIM),
        "k2": 1.5 * draw(BATCH, KV_HEADS, LENGTH, DIM),
        "v2": draw(BATCH, KV_HEADS, LENGTH, DIM),
        "long_k": 1.5 * draw(BATCH, HEADS, LENGTH + EARLIER, DIM),
        "long_v": draw(BATCH, HEADS, LENGTH + EARLIER, DIM),
        "packed": 1.2 * draw(BATCH, LENGTH, HEADS * DIM),
        "keep": keep,
        "ones": np.ones((1, 5, 4), np.float32),
    }


def parameters():
    rng = np.random.default_rng(2018)
    width = HEADS * DIM
    weights = {n: (rng.normal(size=(width, width)) / math.sqrt(width)).astype(np.float32) for n in ("Wq", "Wk", "Wv", "Wo")}
    return {**weights, "bo": rng.normal(size=width).astype(np.float32)}


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def turned(x, interleaved, base=10000.0):
    """Rotary positions 0, 1, ... on the last two axes."""
    n, d = x.shape[-2:]
    angle = np.arange(n)[:, None] * base ** (-2 * np.arange(d // 2) / d)
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., : d // 2], x[..., d // 2:])
    y = np.empty_like(x)
    first = a * np.cos(angle) - b * np.sin(angle)
    second = a * np.sin(angle) + b * np.cos(angle)
    if interleaved:
        y[..., 0::2], y[..., 1::2] = first, second
    else:
        y[..., : d // 2], y[..., d // 2:] = first, second
    return y


def raw_scores(q, k, kind="dot"):
    if kind == "cosine":
        q = q / np.linalg.norm(q, axis=-1, keepdims=True)
        k = k / np.linalg.norm(k, axis=-1, keepdims=True)
    if kind in ("dot", "cosine"):
        return q @ np.swapaxes(k, -1, -2)
    squares = ((q[..., :, None, :] - k[..., None, :, :]) ** 2).sum(-1)
    return -squares if kind == "sqeuclidean" else -np.sqrt(squares)


def attend(q, k, v, *, kind="dot", scale=None, cap=None, cap_after_mask=False, keep=None, added=None, axis=-1,
           normalize="softmax", residual=False, keep_after=None, alibi=None):
    s = raw_scores(q, k, kind) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if alibi is not None:
        n, m = s.shape[-2:]
        s = s + alibi[:, None, None] * -abs(np.arange(n)[:, None] - np.arange(m))
    if cap and not cap_after_mask:
        s = cap * np.tanh(s / cap)
    if added is not None:
        s = s + added
    if keep is not None:
        s = np.where(keep, s, -np.inf)
    if cap and cap_after_mask:
        s = cap * np.tanh(s / cap)
    if normalize == "softmax":
        with np.errstate(invalid="ignore"):
            w = np.nan_to_num(softmax(s, axis))
    elif normalize == "softmin":
        w = softmax(np.where(np.isinf(s), s, -s))
    elif normalize == "double-softmax":
        w = softmax(np.where(np.isinf(s), s, softmax(s)))
    elif normalize == "double-softmax-unmasked":
        w = softmax(np.nan_to_num(softmax(s)))
    elif normalize == "softmax1":
        w = np.exp(s) / (1 + np.exp(s).sum(-1, keepdims=True))
    elif normalize == "sigmoid":
        w = 1 / (1 + np.exp(-s))
    else:
        w = s
    if keep_after is not None:
        w = w * keep_after
    y = w @ v
    return y + q if residual else y


def band(n, m, offset=0, left=None, right=None):
    ahead = np.arange(m) - (np.arange(n)[:, None] + offset)
    keep = np.ones((n, m), bool)
    if left is not None:
        keep &= ahead >= -left
    if right is not None:
        keep &= ahead <= right
    return keep


def shared(x, tiled=False):
    """Key or value heads for each query head."""
    times = HEADS // KV_HEADS
    return np.tile(x, (1, times, 1, 1)) if tiled else np.repeat(x, times, axis=1)


def split(x):
    return x.reshape(BATCH, LENGTH, HEADS, DIM).transpose(0, 2, 1, 3)


def merged(y):
    return y.transpose(0, 2, 1, 3).reshape(BATCH, LENGTH, HEADS * DIM)


Q = ["-q", "inputs.npz:q", "-k", "inputs.npz:k", "-v", "inputs.npz:v"]
GROUPED = ["-q", "inputs.npz:q", "-k", "inputs.npz:k2", "-v", "inputs.npz:v2"]
LONG = ["-q", "inputs.npz:q", "-k", "inputs.npz:long_k", "-v", "inputs.npz:long_v", "--causal"]
PACKED = ["inputs.npz:packed", "--heads", str(HEADS)]
LAYER = [*PACKED, "--params", "params.npz"]
MASK = [*Q, "--mask", "inputs.npz:keep"]


def cases(x):
    q, k, v, k2, v2 = (x[n].astype(np.float64) for n in ("q", "k", "v", "k2", "v2"))
    long_k, long_v, packed = (x[n].astype(np.float64) for n in ("long_k", "long_v", "packed"))
    keep = x["keep"]
    n, m, root = LENGTH, LENGTH + EARLIER, math.sqrt(DIM)
    causal = band(n, n, 0, None, 0)
    model = 1 / math.sqrt(DIM * HEADS)

    # One deviation each.
    yield "as-asked", Q, [], attend(q, k, v)
    yield "unscaled", Q, ["scale-none"], attend(q, k, v, scale=1)
    yield "model-width", Q, ["scale-model-width"], attend(q, k, v, scale=model)
    yield "scale-inverted", Q, ["scale-inverted"], attend(q, k, v, scale=root)
    yield "scaled-twice", Q, ["scale-twice"], attend(q, k, v, scale=1 / DIM)
    yield "mask-inverted", MASK, ["mask-inverted"], attend(q, k, v, keep=~keep)
    yield "mask-added", MASK, ["mask-added"], attend(q, k, v, added=keep.astype(float))
    yield "mask-ignored", MASK, ["mask-ignored"], attend(q, k, v)
    yield "mask-transposed", MASK, ["mask-transposed"], attend(q, k, v, keep=keep.T)
    yield "mask-after", MASK, ["mask-after-softmax"], attend(q, k, v, keep_after=keep)
    yield "causal-start", [*LONG, "--query-offset", "end"], ["aligned-start"], \
        attend(q, long_k, long_v, keep=band(n, m, 0, None, 0))
    yield "causal-end", [*LONG, "--query-offset", "0"], ["aligned-end"], \
        attend(q, long_k, long_v, keep=band(n, m, m - n, None, 0))
    yield "causal-strict", [*Q, "--causal"], ["causal-strict"], attend(q, k, v, keep=band(n, n, 0, None, -1))
    yield "causal-peeks", [*Q, "--causal"], ["causal-peeks"], attend(q, k, v, keep=band(n, n, 0, None, 1))
    yield "causal-missing", [*Q, "--causal"], ["causal-missing"], attend(q, k, v)
    yield "causal-reversed", [*Q, "--causal"], ["causal-reversed"], attend(q, k, v, keep=band(n, n, 0, 0, None))
    yield "causal-added", Q, ["causal-added"], attend(q, k, v, keep=causal)
    yield "window-shorter", [*Q, "--window", "4:0"], ["window-left-shorter"], attend(q, k, v, keep=band(n, n, 0, 3, 0))
    yield "window-longer", [*Q, "--window", "4:0"], ["window-left-longer"], attend(q, k, v, keep=band(n, n, 0, 5, 0))
    yield "window-narrower", [*Q, "--window", "4:3"], ["window-narrower"], attend(q, k, v, keep=band(n, n, 0, 3, 2))
    yield "window-wider", [*Q, "--window", "2:3"], ["window-wider"], attend(q, k, v, keep=band(n, n, 0, 3, 4))
    yield "twice-unmasked", [*Q, "--causal"], ["double-softmax-unmasked"], \
        attend(q, k, v, keep=causal, normalize="double-softmax-unmasked")
    yield "cosine", Q, ["score-cosine"], attend(q, k, v, kind="cosine", scale=1)
    yield "euclidean", Q, ["score-euclidean"], attend(q, k, v, kind="euclidean", scale=1)
    yield "sqeuclidean", Q, ["score-sqeuclidean"], attend(q, k, v, kind="sqeuclidean", scale=1)
    for kind in ("softmin", "double-softmax", "softmax1", "sigmoid", "none"):
        yield kind, Q, ["normalize-" + kind], attend(q, k, v, normalize=kind)
    yield "over-queries", Q, ["softmax-over-queries"], attend(q, k, v, axis=-2)
    yield "over-heads", Q, ["softmax-over-heads"], attend(q, k, v, axis=1)
    yield "tiled-heads", GROUPED, ["heads-tiled"], attend(q, shared(k2, True), shared(v2, True))
    yield "rope-interleaved", [*Q, "--rope", "half"], ["rope-interleaved"], attend(turned(q, True), turned(k, True), v)
    yield "rope-half", [*Q, "--rope", "interleaved"], ["rope-half"], attend(turned(q, False), turned(k, False), v)
    yield "rope-missing", [*Q, "--rope", "half"], ["rope-missing"], attend(q, k, v)
    yield "cap-after-mask", [*Q, "--causal", "--softcap", "1.5"], ["softcap-after-mask"], \
        attend(q, k, v, cap=1.5, cap_after_mask=True, keep=causal)
    yield "cap-missing", [*Q, "--softcap", "1.5"], ["softcap-missing"], attend(q, k, v)
    yield "residual", Q, ["residual-added"], attend(q, k, v, residual=True)
    yield "residual-missing", [*Q, "--residual"], ["residual-missing"], attend(q, k, v)
    yield "alibi-missing", [*Q, "--alibi"], ["alibi-missing"], attend(q, k, v)
    s = split(packed)
    yield "never-merged", PACKED, ["merge-missing"], attend(s, s, s).reshape(BATCH, n, -1)
    viewed = packed.reshape(BATCH, HEADS, LENGTH, DIM)
    yield "viewed", PACKED, ["split-viewed"], merged(attend(viewed, viewed, viewed))
    mixed = packed.reshape(BATCH, LENGTH, DIM, HEADS).transpose(0, 3, 1, 2)
    yield "interleaved-heads", PACKED, ["split-interleaved"], merged(attend(mixed, mixed, mixed))
    yield "value-is-key", Q, ["value-is-key"], attend(q, k, k)
    yield "swapped", Q, ["query-key-swapped"], attend(k, q, v)

    # Two at once.
    yield "unscaled+inverted", MASK, ["scale-none", "mask-inverted"], attend(q, k, v, scale=1, keep=~keep)
    yield "width+residual", Q, ["scale-model-width", "residual-added"], attend(q, k, v, scale=model, residual=True)
    yield "unscaled+strict", [*Q, "--causal"], ["scale-none", "causal-strict"], \
        attend(q, k, v, scale=1, keep=band(n, n, 0, None, -1))
    yield "tiled+unscaled", GROUPED, ["scale-none", "heads-tiled"], \
        attend(q, shared(k2, True), shared(v2, True), scale=1)
    yield "rope+window", [*Q, "--rope", "half", "--window", "4:0"], ["window-left-shorter", "rope-interleaved"], \
        attend(turned(q, True), turned(k, True), v, keep=band(n, n, 0, 3, 0))
    yield "queries+width", Q, ["scale-model-width", "softmax-over-queries"], attend(q, k, v, scale=model, axis=-2)
    yield "twice+residual", Q, ["normalize-double-softmax", "residual-added"], \
        attend(q, k, v, normalize="double-softmax", residual=True)
    yield "twice-unmasked+inverted", MASK, ["mask-inverted", "double-softmax-unmasked"], \
        attend(q, k, v, keep=~keep, normalize="double-softmax-unmasked")
    yield "start+unscaled", [*LONG, "--query-offset", "end"], ["scale-none", "aligned-start"], \
        attend(q, long_k, long_v, scale=1, keep=band(n, m, 0, None, 0))
    yield "added+width", MASK, ["scale-model-width", "mask-added"], attend(q, k, v, scale=model, added=keep.astype(float))
    yield "cap+unscaled", [*Q, "--causal", "--softcap", "1.5"], ["scale-none", "softcap-after-mask"], \
        attend(q, k, v, scale=1, cap=1.5, cap_after_mask=True, keep=causal)
    yield "merge+unscaled", PACKED, ["scale-none", "merge-missing"], attend(s, s, s, scale=1).reshape(BATCH, n, -1)
    yield "reversed+tiled", [*GROUPED, "--causal"], ["causal-reversed", "heads-tiled"], \
        attend(q, shared(k2, True), shared(v2, True), keep=band(n, n, 0, 0, None))

    # Behind projections.
    p = {n: a.astype(np.float64) for n, a in parameters().items()}
    heads = [split(packed @ p[n]) for n in ("Wq", "Wk", "Wv")]
    plain, bare = attend(*heads), attend(*heads, scale=1)
    yield "layer", LAYER, [], merged(plain) @ p["Wo"] + p["bo"]
    yield "layer-unscaled", LAYER, ["scale-none"], merged(bare) @ p["Wo"] + p["bo"]
    yield "layer-never-merged", LAYER, ["merge-missing"], plain.reshape(packed.shape) @ p["Wo"] + p["bo"]
    yield "layer-never-projected", LAYER, ["projection-missing"], merged(plain)
    yield "layer-without-bias", LAYER, ["projection-bias-missing"], merged(plain) @ p["Wo"]
    yield "layer-over-queries", LAYER, ["softmax-over-queries"], merged(attend(*heads, axis=-2)) @ p["Wo"] + p["bo"]
    yield "layer-residual", LAYER, ["scale-none", "residual-added"], merged(bare) @ p["Wo"] + p["bo"] + packed
    yield "layer-of-a-tutorial", LAYER, ["merge-missing", "projection-missing"], plain.reshape(packed.shape)

    # None at all.
    yield "noise", Q, None, np.random.default_rng(5).normal(size=q.shape)


def write_conventions():
    arrays = inputs()
    np.savez(HERE / "inputs.npz", **arrays)
    np.savez(HERE / "params.npz", **parameters())
    manifest, claims = [], {}
    for name, arguments, deviations, y in cases(arrays):
        manifest.append({"name": name, "arguments": arguments, "deviations": deviations})
        claims[name] = y.astype(np.float32)
    np.savez(HERE / "claims.npz", **claims)
    lines = ",\n".join("  " + json.dumps(case) for case in manifest)
    (HERE / "cases.json").write_text(f"[\n{lines}\n]\n")
    print(len(manifest), "cases")


def write_bfloat16(path, tensors):
    """A safetensors file of BF16 tensors."""
    header, blob = {}, b""
    for name, tensor in tensors.items():
        raw = tensor.contiguous().view(dtype=__import__("torch").int16).numpy().tobytes()
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [len(blob), len(blob) + len(raw)]}
        blob += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + blob)


def write_torch():
    import torch
    import torch.nn.functional as F
    from torch.nn.attention import SDPBackend, sdpa_kernel

    torch.set_num_threads(1)
    torch.manual_seed(7)
    shape = (1, 2, 67, 24)
    q, k, v = (torch.randn(shape) for _ in range(3))

    def outputs(q, k, v, causal):
        yield "fused", F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        with sdpa_kernel(SDPBackend.MATH):
            yield "math", F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        s = q @ k.transpose(-1, -2) / math.sqrt(shape[-1])
        if causal:
            s = s.masked_fill(torch.ones(s.shape[-2:], dtype=torch.bool).triu(1), -math.inf)
        w = torch.softmax(s, -1)
        yield "weights", w
        yield "lse", torch.logsumexp(s, -1)
        yield "composed", w @ v

    def all_of(q, k, v):
        arrays = {"q": q, "k": k, "v": v}
        for causal in (False, True):
            for name, y in outputs(q, k, v, causal):
                arrays[name + ("_causal" if causal else "")] = y
        return arrays

    np.savez(HERE / "torch.npz", **{n: t.numpy() for n, t in all_of(q, k, v).items()})
    write_bfloat16(HERE / "torch_bf16.safetensors", all_of(*(t.bfloat16() for t in (q, k, v))))


if __name__ == "__main__":
    write_torch() if "--torch" in sys.argv else write_conventions()
