"""Float64 attention oracle: the executable specification of what `attn run` computes.

    r = attention(q, k, v, score="scaled", normaliser="softmax", causal=True, ...)
    r.output, r.weights, r.scores, r.capped, r.logits

Order of operations, for every query row i and key j of one head:

    1. RoPE            rotate q and k by their absolute positions (optional)
    2. score           s = score(q_i, k_j)
    3. scale           s = s * scale / temperature
    4. softcap         s = cap * tanh(s / cap)                  (if cap > 0)
    5. bias            s = s + ALiBi + additive mask
    6. masking         drop keys that any mask forbids (never "add a big negative")
    7. normaliser      weights over the keys that are left; dropped keys weigh exactly 0
    8. output          y_i = sum_j w_ij v_j                     (+ q_i if residual)

Conventions fixed here:

  * A row with no key left has all-zero weights and an all-zero output (+ residual).
  * A dropped key is never read: NaN/Inf in its K or V row cannot reach the output.
  * -inf in an additive mask drops the key, whatever the normaliser.
  * Query i sits at absolute position p = i + q_offset, key j at j. The same p drives
    causal, window, ALiBi and RoPE. align="top_left" gives q_offset 0;
    align="bottom_right" gives q_offset = (kv_length or n_k) - n_q, per batch entry.
  * Grouped heads: query head h reads key/value head h // (Hq / Hkv).
  * double-softmax's second softmax also runs over the kept keys only.

Run this file to check it against every case in ../data/onnx.
"""
from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SCORES = ("dot", "scaled", "cosine", "euclidean", "sqeuclidean")
NORMALISERS = ("softmax", "softmin", "double-softmax", "sigmoid", "softmax1", "none")


# ----------------------------------------------------------------------------- pieces

def score_matrix(q, k, kind):
    """(..., n_q, d) x (..., n_k, d) -> (..., n_q, n_k), before scale and temperature."""
    if kind in ("dot", "scaled"):
        return q @ np.swapaxes(k, -1, -2)
    if kind == "cosine":  # a zero vector has cosine 0 with everything
        def unit(x):
            n = np.sqrt((x * x).sum(-1, keepdims=True))
            return np.divide(x, n, out=np.zeros_like(x), where=n > 0)
        return unit(q) @ np.swapaxes(unit(k), -1, -2)
    if kind in ("euclidean", "sqeuclidean"):
        d2 = ((q[..., :, None, :] - k[..., None, :, :]) ** 2).sum(-1)
        return -d2 if kind == "sqeuclidean" else -np.sqrt(d2)
    raise ValueError(f"unknown score {kind!r}; expected one of {SCORES}")


def normalise(x, kind):
    """Weights for one row that holds only the kept keys (never empty)."""
    if kind == "softmax":
        e = np.exp(x - x.max())
        return e / e.sum()
    if kind == "softmin":
        return normalise(-x, "softmax")
    if kind == "double-softmax":
        return normalise(normalise(x, "softmax"), "softmax")
    if kind == "softmax1":  # exp(x) / (1 + sum exp(x)): an extra key with score 0, value 0
        m = max(x.max(), 0.0)
        e = np.exp(x - m)
        return e / (math.exp(-m) + e.sum())
    if kind == "sigmoid":
        return 0.5 * (1.0 + np.tanh(0.5 * x))
    if kind == "none":
        return x.copy()
    raise ValueError(f"unknown normaliser {kind!r}; expected one of {NORMALISERS}")


def alibi_slopes(n_heads):
    """Press et al. 2022: geometric for a power of two, else interleaved from the next one."""
    def geometric(n):
        return [2.0 ** (-8.0 * (i + 1) / n) for i in range(n)]
    whole = 1 << (n_heads.bit_length() - 1)
    slopes = geometric(whole)
    if whole != n_heads:
        slopes += geometric(2 * whole)[0::2][: n_heads - whole]
    return np.array(slopes)


def rope_angles(positions, dim, base=10000.0):
    """(..., n) positions -> (..., n, dim/2) angles p * base^(-2i/dim)."""
    inv = base ** (-2.0 * np.arange(dim // 2) / dim)
    return np.asarray(positions, float)[..., None] * inv


def rope_rotate(x, cos, sin, interleaved=False, dim=None):
    """Rotate the first `dim` features of (..., n, d); cos/sin broadcast to (..., n, dim/2).

    interleaved pairs features (0,1),(2,3),...; half-split pairs (0,dim/2),(1,dim/2+1),...
    """
    dim = dim or x.shape[-1]
    half = dim // 2
    first = np.arange(half) * 2 if interleaved else np.arange(half)
    second = first + 1 if interleaved else first + half
    y = x.copy()
    y[..., first] = x[..., first] * cos - x[..., second] * sin
    y[..., second] = x[..., first] * sin + x[..., second] * cos
    return y


@dataclass
class Rope:
    base: float = 10000.0
    interleaved: bool = False
    dim: int | None = None          # None: rotate the whole head
    q_positions: object = None      # None: i + q_offset
    k_positions: object = None      # None: j


@dataclass
class Result:
    output: np.ndarray    # same layout as q, with v's head size
    weights: np.ndarray   # (B, Hq, n_q, n_k); the rest of the fields likewise
    scores: np.ndarray    # after scale and temperature
    capped: np.ndarray    # after softcap
    logits: np.ndarray    # after bias; -inf where masked


def _heads(x, n_heads):
    """-> (B, H, n, d).

    2-D is one head (or packed heads if n_heads); 3-D is (H, n, d), or packed
    (B, n, H*d) if n_heads; 4-D is (B, H, n, d).
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim == 4:
        return x
    if n_heads:
        x = x[None] if x.ndim == 2 else x
        b, n, width = x.shape
        if width % n_heads:
            raise ValueError(f"width {width} is not a multiple of {n_heads} heads")
        return x.reshape(b, n, n_heads, width // n_heads).transpose(0, 2, 1, 3)
    return x[None, None] if x.ndim == 2 else x[None]


def _like(y, shape_in, n_heads):
    """(B, H, n, d) back to the caller's layout."""
    if len(shape_in) == 4:
        return y
    if n_heads:
        b, h, n, d = y.shape
        y = y.transpose(0, 2, 1, 3).reshape(b, n, h * d)
        return y[0] if len(shape_in) == 2 else y
    return y[0, 0] if len(shape_in) == 2 else y[0]


# -------------------------------------------------------------------------- attention

def attention(q, k, v, *, score="scaled", scale=None, temperature=1.0, softcap=0.0,
              normaliser="softmax", keep=None, block=None, bias=None,
              causal=False, align="top_left", q_offset=None, window=None,
              kv_lengths=None, alibi=False, rope=None,
              q_num_heads=None, kv_num_heads=None, residual=False):
    """See the module text. keep/block/bias broadcast (right-aligned) to (B, Hq, n_q, n_k).

    scale     default 1/sqrt(d) for "scaled", 1 for every other score
    window    (left, right) in positions relative to p; None or -1 leaves a side open
    alibi     True for the standard slopes, or an array of Hq slopes; bias -slope*|p - j|
    """
    shape_in = np.shape(q)
    q, k, v = _heads(q, q_num_heads), _heads(k, kv_num_heads), _heads(v, kv_num_heads)
    batch, hq, n_q, d = q.shape
    hkv, n_k = k.shape[1], k.shape[2]
    if hq % hkv or v.shape[1] != hkv or v.shape[2] != n_k:
        raise ValueError("head counts or key/value lengths do not fit together")
    group = hq // hkv
    full = (batch, hq, n_q, n_k)

    lengths = np.full(batch, n_k) if kv_lengths is None else np.broadcast_to(kv_lengths, batch)
    if q_offset is None:
        if align not in ("top_left", "bottom_right"):
            raise ValueError(f"unknown align {align!r}")
        q_offset = lengths - n_q if align == "bottom_right" else 0
    q_offset = np.broadcast_to(q_offset, batch)
    p = q_offset[:, None] + np.arange(n_q)                      # (B, n_q)
    j = np.arange(n_k)
    ahead = (j - p[:, :, None])[:, None]                        # (B, 1, n_q, n_k), j - p

    if rope is not None:
        dim = rope.dim or d
        qa = rope_angles(p[:, None] if rope.q_positions is None else rope.q_positions, dim, rope.base)
        ka = rope_angles(j if rope.k_positions is None else rope.k_positions, dim, rope.base)
        q_in = rope_rotate(q, np.cos(qa), np.sin(qa), rope.interleaved, dim)
        k_in = rope_rotate(k, np.cos(ka), np.sin(ka), rope.interleaved, dim)
    else:
        q_in, k_in = q, k

    if scale is None:
        scale = 1.0 / math.sqrt(d) if score == "scaled" else 1.0
    scores = score_matrix(q_in, np.repeat(k_in, group, axis=1), score) * (scale / temperature)
    capped = softcap * np.tanh(scores / softcap) if softcap > 0 else scores

    allowed = np.ones(full, dtype=bool)
    allowed &= (j < lengths[:, None])[:, None, None]
    if causal:
        allowed &= ahead <= 0
    if window is not None:
        left, right = (-1 if side is None else side for side in window)
        if left >= 0:
            allowed &= ahead >= -left
        if right >= 0:
            allowed &= ahead <= right
    if keep is not None:
        allowed &= np.broadcast_to(np.asarray(keep, bool), full)
    if block is not None:
        allowed &= ~np.broadcast_to(np.asarray(block, bool), full)

    total_bias = np.zeros(full)
    if alibi is not False and alibi is not None:
        slopes = alibi_slopes(hq) if alibi is True else np.asarray(alibi, float)
        total_bias = total_bias - slopes[None, :, None, None] * np.abs(ahead)
    if bias is not None:
        bias = np.broadcast_to(np.asarray(bias, float), full)
        allowed &= ~np.isneginf(bias)
        total_bias = total_bias + np.where(np.isneginf(bias), 0.0, bias)
    logits = np.where(allowed, capped + total_bias, -np.inf)

    weights = np.zeros(full)
    out = np.zeros((batch, hq, n_q, v.shape[3]))
    for b, h, i in np.ndindex(batch, hq, n_q):
        kept = np.flatnonzero(allowed[b, h, i])
        if kept.size:
            w = normalise(logits[b, h, i, kept], normaliser)
            weights[b, h, i, kept] = w
            out[b, h, i] = w @ v[b, h // group, kept]
    if residual:
        if v.shape[3] != d:
            raise ValueError("residual needs value vectors as wide as the queries")
        out = out + q
    return Result(_like(out, shape_in, q_num_heads), weights, scores, capped, logits)


def linear_attention(query, key, value, past_state=None, decay=None, beta=None, *,
                     q_num_heads, kv_num_heads, scale=0.0, update_rule="gated_delta"):
    """Recurrent linear attention, token by token, one d_k x d_v state per batch and kv head.

    S <- exp(g) S (gated);  S <- S + k (x) u, u = v or beta (v - S^T k) (delta);
    y = scale * S^T q.   Returns (output, present_state).
    """
    q = _heads(query, q_num_heads)
    k, v = _heads(key, kv_num_heads), _heads(value, kv_num_heads)
    (batch, hq, steps, d_k), d_v = q.shape, v.shape[3]
    scale = scale or 1.0 / math.sqrt(d_k)
    gated, delta = "gated" in update_rule, "delta" in update_rule
    state = np.zeros((batch, kv_num_heads, d_k, d_v))
    if past_state is not None:
        state += np.asarray(past_state, float)
    g = _heads(decay, kv_num_heads) if gated else None            # (B, Hkv, T, d_k or 1)
    rate = np.asarray(beta, float) if delta else None             # (B, T, Hkv or 1)
    y = np.zeros((batch, hq, steps, d_v))
    for b, t in np.ndindex(batch, steps):
        for h in range(kv_num_heads):
            s = state[b, h]
            if gated:
                s = s * np.exp(g[b, h, t])[:, None]
            u = v[b, h, t]
            if delta:
                u = rate[b, t, h if rate.shape[2] > 1 else 0] * (u - k[b, h, t] @ s)
            state[b, h] = s + np.outer(k[b, h, t], u)
        for h in range(hq):
            y[b, h, t] = scale * (q[b, h, t] @ state[b, h // (hq // kv_num_heads)])
    return _like(y, np.shape(query), q_num_heads), state


# ------------------------------------------------- the collected cases, in these terms

def run_attention_case(a, at):
    hq, hkv = at.get("q_num_heads"), at.get("kv_num_heads")
    q = np.asarray(a["Q"], float)
    k, v = _heads(a["K"], hkv), _heads(a["V"], hkv)
    past, lengths, offset = a.get("past_key"), a.get("nonpad_kv_seqlen"), 0
    if past is not None:
        k = np.concatenate([past, k], axis=2, dtype=float)
        v = np.concatenate([a["past_value"], v], axis=2, dtype=float)
        offset = past.shape[2]
    elif lengths is not None:
        offset = lengths - q.shape[-2]
    kw, mask = {}, a.get("attn_mask")
    if mask is not None:
        short = k.shape[2] - mask.shape[-1]       # a mask may stop early: the rest is dropped
        fill = False if mask.dtype == bool else -np.inf
        mask = np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, short)], constant_values=fill)
        kw = {"keep": mask} if mask.dtype == bool else {"bias": mask}
    r = attention(q, k, v, scale=at["scale"], softcap=at["softcap"], causal=bool(at["is_causal"]),
                  q_offset=offset, kv_lengths=lengths, q_num_heads=hq if q.ndim == 3 else None,
                  window=(at.get("left_window_size", -1), at.get("right_window_size", -1)), **kw)
    stage = [r.scores, r.capped, r.logits, r.weights][at["qk_matmul_output_mode"]]
    return {"Y": r.output, "present_key": k, "present_value": v, "qk_matmul_output": stage}


def run_flex_case(a, at):
    kw, n_q, n_k = {}, a["Q"].shape[2], a["K"].shape[2]
    mod = at.get("score_mod") or {"kind": "identity"}
    if mod["kind"] == "add_constant":
        kw["bias"] = np.full((n_q, n_k), mod["value"])
    elif mod["kind"] == "add_query_minus_key_index":
        kw["bias"] = np.arange(n_q)[:, None] - np.arange(n_k)[None, :]
    elif mod["kind"] == "causal_top_left":
        kw["causal"] = True
    elif mod["kind"] == "softcap":
        kw["softcap"] = mod["value"]
    elif mod["kind"] != "identity":
        raise ValueError(mod)
    gain = (at.get("prob_mod") or {"value": 1.0})["value"]
    return {"Y": gain * attention(a["Q"], a["K"], a["V"], scale=at["scale"], **kw).output}


def run_linear_case(a, at):
    y, s = linear_attention(a["query"], a["key"], a["value"], a.get("past_state"), a.get("decay"),
                            a.get("beta"), q_num_heads=at["q_num_heads"],
                            kv_num_heads=at["kv_num_heads"], scale=at["scale"],
                            update_rule=at["update_rule"])
    return {"output": y, "present_state": s}


def run_rotary_case(a, at):
    x = _heads(a["input"], at.get("num_heads"))
    cos, sin = (np.asarray(a[n], float) for n in ("cos_cache", "sin_cache"))
    if "position_ids" in a:
        cos, sin = cos[a["position_ids"]], sin[a["position_ids"]]
    y = rope_rotate(x, cos[:, None], sin[:, None], bool(at["interleaved"]), at["rotary_embedding_dim"])
    return {"output": _like(y, a["input"].shape, at.get("num_heads"))}


RUNNERS = {"Attention": run_attention_case, "FlexAttention": run_flex_case,
           "LinearAttention": run_linear_case, "RotaryEmbedding": run_rotary_case}


def run_case(entry, arrays):
    """-> {output name: float64 array} for one manifest entry and its loaded NPZ."""
    got = RUNNERS[entry["op"]](arrays, entry["attributes"])
    return {name: got[name] for name in entry["outputs"]}


def worst(got, want):
    """(max abs, max rel) difference; equal infinities count as equal, a NaN never does."""
    if got.shape != want.shape:
        return math.inf, math.inf
    with np.errstate(invalid="ignore"):
        diff = np.where(got == want, 0.0, np.abs(got - want))
        diff = np.where(np.isnan(diff), np.inf, diff)
        rel = np.divide(diff, np.abs(want), out=np.zeros_like(diff), where=(want != 0) & (diff > 0))
    return float(diff.max(initial=0)), float(rel.max(initial=0))


def close(got, want, rtol, atol):
    return got.shape == want.shape and np.allclose(got, want, rtol=rtol, atol=atol, equal_nan=False)


# --------------------------------------------------------------------------- self-test

def check_extensions():
    """The features no collected case covers, against facts that hold by definition."""
    rng = np.random.default_rng(7)
    q, k, v = rng.normal(size=(5, 4)), rng.normal(size=(7, 4)), rng.normal(size=(7, 4))
    near = lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)

    # scores, on hand-worked numbers
    a, b = np.array([[3.0, 4.0]]), np.array([[4.0, 3.0], [0.0, 0.0]])
    near(score_matrix(a, b, "dot"), [[24, 0]])
    near(score_matrix(a, b, "cosine"), [[0.96, 0]])
    near(score_matrix(a, b, "euclidean"), [[-math.sqrt(2), -5]])
    near(score_matrix(a, b, "sqeuclidean"), [[-2, -25]])
    near(attention(q, k, v).output, attention(q, k, v, score="dot", temperature=2.0).output)
    # squared distance = dot attention once the key norms are paid for
    near(attention(q, k, v, score="sqeuclidean").weights,
         attention(q, k, v, score="dot", scale=2.0, bias=-(k * k).sum(1)).weights)

    # normalisers, on x = (ln 1, ln 3)
    x = np.log([1.0, 3.0])
    near(normalise(x, "softmax"), [0.25, 0.75])
    near(normalise(x, "softmin"), [0.75, 0.25])
    near(normalise(x, "softmax1"), [0.2, 0.6])
    near(normalise(x, "sigmoid"), [0.5, 0.75])
    near(normalise(x, "double-softmax"), [1 / (1 + math.exp(0.5)), 1 / (1 + math.exp(-0.5))])
    near(normalise(x, "none"), x)
    near(normalise(x - 1000, "softmax1"), [0, 0])
    near(normalise(x + 1000, "softmax1"), [0.25, 0.75])

    # masks: which keys survive, for n_q = 2, n_k = 4
    def kept(**kw):
        return (attention(q[:2], k[:4], v[:4], **kw).weights[0, 0] > 0).astype(int).tolist()
    assert kept(causal=True) == [[1, 0, 0, 0], [1, 1, 0, 0]]
    assert kept(causal=True, align="bottom_right") == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert kept(causal=True, align="bottom_right", kv_lengths=[3]) == [[1, 1, 0, 0], [1, 1, 1, 0]]
    assert kept(window=(0, 1)) == [[1, 1, 0, 0], [0, 1, 1, 0]]
    assert kept(window=(1, 0), align="bottom_right") == [[0, 1, 1, 0], [0, 0, 1, 1]]
    assert kept(window=(None, 0)) == kept(causal=True) == kept(window=(-1, 0))
    assert kept(kv_lengths=[1]) == [[1, 0, 0, 0]] * 2
    m = rng.random((2, 4)) < 0.5
    assert kept(keep=m) == kept(block=~m) == kept(bias=np.where(m, 0, -np.inf)) == m.astype(int).tolist()

    # nothing left -> zeros (plus residual), for every normaliser; masked NaN stays out
    for n in NORMALISERS:
        r = attention(q, k, v, normaliser=n, kv_lengths=[0], residual=True)
        assert not r.weights.any() and np.array_equal(r.output, q)
        bad_k, bad_v = k.copy(), v.copy()
        bad_k[5:], bad_v[5:] = np.nan, np.inf
        near(attention(q, bad_k, bad_v, normaliser=n, kv_lengths=[5]).output,
             attention(q, k[:5], v[:5], normaliser=n).output)
    near(attention(q, k, v, residual=True).output, attention(q, k, v).output + q)

    # ALiBi: the published slopes, and a shift of both sides changes nothing
    near(alibi_slopes(8), 0.5 ** np.arange(1, 9))
    near(alibi_slopes(12)[8:], 2.0 ** -np.array([0.5, 1.5, 2.5, 3.5]))
    near(alibi_slopes(3), [2.0 ** -4, 2.0 ** -8, 2.0 ** -2])
    near(alibi_slopes(1), [2.0 ** -8])
    near(attention(q[:1], k, 0 * v, score="dot", alibi=[1.0]).logits[0, 0, 0] - q[0] @ k.T, -np.arange(7.0))

    # RoPE: norms kept, only relative positions matter, and the two layouts are permutations
    for inter in (False, True):
        r0 = attention(q, k, v, rope=Rope(interleaved=inter))
        r9 = attention(q, k, v, rope=Rope(interleaved=inter, q_positions=np.arange(5) + 9,
                                          k_positions=np.arange(7) + 9))
        near(r0.scores, r9.scores)
    perm = [0, 2, 1, 3]
    near(attention(q, k, v, rope=Rope()).scores,
         attention(q[:, perm], k[:, perm], v, rope=Rope(interleaved=True)).scores)
    ang = rope_angles([1.0], 4)
    near(ang, [[1.0, 0.01]])
    near(rope_rotate(np.array([[1.0, 0, 0, 0]]), np.cos(ang), np.sin(ang)),
         [[math.cos(1), 0, math.sin(1), 0]])

    # grouped heads = each key/value head repeated; softcap before mask
    qq, kk, vv = rng.normal(size=(2, 6, 3, 4)), rng.normal(size=(2, 2, 5, 4)), rng.normal(size=(2, 2, 5, 3))
    near(attention(qq, kk, vv).output,
         attention(qq, np.repeat(kk, 3, 1), np.repeat(vv, 3, 1)).output)
    near(attention(q, k, v, softcap=0.5, keep=np.arange(7) < 4).output,
         attention(q, k[:4], v[:4], softcap=0.5).output)


def main():
    check_extensions()
    print("extensions: ok")
    here, failed, total = Path(__file__).resolve().parent.parent / "data", 0, 0
    for folder in ("onnx",):
        manifest = here / folder / "manifest.json"
        if not manifest.exists():
            continue
        for entry in json.loads(manifest.read_text()):
            with np.load(here / folder / entry["file"]) as z:
                arrays = dict(z)
            got, bad, dev = run_case(entry, arrays), [], 0.0
            tol = entry["tolerance_high_precision"]
            for name, y in got.items():
                dev = max(dev, worst(y, arrays[name].astype(float))[0])
                if not close(y, arrays[name].astype(float), tol["rtol"], tol["atol"]):
                    bad.append(name)
            total += 1
            failed += bool(bad)
            if bad or "-v" in sys.argv:
                print(f"{'FAIL' if bad else 'ok  '} {folder}/{entry['name']} max|diff|={dev:.2e} {' '.join(bad)}")
    print(f"collected cases: {total - failed} of {total} agree")
    return 1 if failed or not total else 0


if __name__ == "__main__":
    sys.exit(main())
