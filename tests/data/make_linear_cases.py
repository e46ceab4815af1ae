"""Makes tests/data/linear/: random cases of `attn linear` and their results in closed form (needs NumPy).

    python3 make_linear_cases.py

Nothing here steps through tokens. With G_t the sum of the decays up to token t, the state after token t is

    S_t = exp(G_t) S_0 + sum_{s <= t} exp(G_t - G_s) k_s u_s^T

so that outputs are one masked product of all queries with all keys. Without the delta rule u_s = v_s; with it the rows u_s solve
one unit lower triangular system (Yang et al. 2024, "Parallelizing Linear Transformers with the Delta Rule over Sequence Length").
"""

import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent / "linear"
SEED = 27011
RULES = ["linear", "gated", "delta", "gated-delta"]
LENGTHS = [0, 1, 2, 3, 7, 15, 16, 17, 31, 37]
HEAD_DIMS = [1, 2, 3, 4, 5, 7, 8, 13]
VALUE_DIMS = [1, 2, 5, 7, 15, 16, 17, 31, 33, 65]
COUNT = 48


def one_head(q, k, v, g, beta, state, scale):
    """Outputs of some query heads [heads, length, dim] that share keys [length, dim], and the last state."""
    length = len(k)
    total = np.cumsum(g, axis=0)  # [length, dim]
    apart = np.exp(np.minimum(total[:, None] - total[None], 700))  # [t, s, dim]
    lower = np.tril(np.ones((length, length)))
    u = v
    if beta is not None:
        seen = np.einsum("td,tsd,sd->ts", k, apart, k) * np.tril(lower, -1)
        recalled = (k * np.exp(total)) @ state
        u = np.linalg.solve(np.eye(length) + beta[:, None] * seen, beta[:, None] * (v - recalled)) if length else v
    read = np.einsum("htd,tsd,sd->hts", q, apart, k) * lower
    y = scale * (read @ u + (q * np.exp(total)) @ state)
    if length == 0:
        return y, state
    last = np.exp(total[-1])[:, None] * state + np.einsum("sd,sd,sv->dv", apart[-1], k, u)
    return y, last


def heads_apart(x, heads, is_packed):
    """[batch, heads, length, dim] of packed or separate heads."""
    if not is_packed:
        return x.reshape((1,) * (4 - x.ndim) + x.shape)
    x = x.reshape((1,) * (3 - x.ndim) + x.shape)
    return x.reshape(*x.shape[:2], heads, -1 if x.size else x.shape[2] // heads).transpose(0, 2, 1, 3)


def packed(x):
    b, h, n, d = x.shape
    return x.transpose(0, 2, 1, 3).reshape(b, n, h * d)


def draw(rng, index):
    rule = RULES[index % 4]
    batch, kv_heads, group = int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    length, dim, width = (int(rng.choice(sizes)) for sizes in (LENGTHS, HEAD_DIMS, VALUE_DIMS))
    layout = ["packed 3-D", "packed 2-D", "4-D"][index // 4 % 3]
    if layout == "packed 2-D":
        batch = 1
    dtype = [np.float32, np.float64, np.float16][int(rng.choice(3, p=[0.5, 0.3, 0.2]))]
    store = lambda x: x.astype(dtype)  # noqa: E731
    normal = lambda *shape: rng.standard_normal(shape)  # noqa: E731
    q = store(normal(batch, kv_heads * group, length, dim))
    k = normal(batch, kv_heads, length, dim)
    k = store(k / np.linalg.norm(k, axis=-1, keepdims=True))
    v = store(normal(batch, kv_heads, length, width))
    case = {"name": f"case{index}", "rule": rule, "layout": layout, "heads": kv_heads * group, "kv_heads": kv_heads}
    arrays = {}
    g = np.zeros((batch, kv_heads, length, dim))
    full = g.shape
    if "gated" in rule:
        axes = [1 if rng.random() < 0.2 else size for size in (batch, kv_heads, length)]
        by_feature = rng.random() < 0.5
        small = store(rng.uniform(-1.5, 0.1, (*axes, dim if by_feature else 1)))
        if layout != "4-D":
            # Packed heads: all of them side by side, or one number for all.
            if by_feature and axes[1] != kv_heads:
                small = np.repeat(small, kv_heads, axis=1)
            arrays["decay"] = packed(small)
            if axes[0] == 1 and rng.random() < 0.5:
                arrays["decay"] = arrays["decay"][0]
        else:
            arrays["decay"] = small
        g = np.broadcast_to(small.astype(float), full)
    beta = None
    if "delta" in rule:
        axes = [1 if rng.random() < 0.2 else size for size in (batch, kv_heads, length)]
        small = store(rng.uniform(0, 1, (*axes, 1)))
        arrays["beta"] = small if layout == "4-D" else packed(small)
        beta = np.broadcast_to(small.astype(float), (batch, kv_heads, length, 1))[..., 0]
    state = np.zeros((batch, kv_heads, dim, width))
    if rng.random() < 0.5:
        arrays["past_state"] = store(normal(*state.shape))
        state = arrays["past_state"].astype(float)
    scale = 1 / np.sqrt(dim)
    if rng.random() < 0.5:
        scale = case["scale"] = float(rng.choice([0.25, 2.0, -1.0]))
    y = np.zeros((batch, kv_heads * group, length, width))
    present = np.zeros_like(state)
    for b in range(batch):
        for h in range(kv_heads):
            own = slice(h * group, (h + 1) * group)
            y[b, own], present[b, h] = one_head(q[b, own].astype(float), k[b, h].astype(float), v[b, h].astype(float), g[b, h],
                                                None if beta is None else beta[b, h], state[b, h], scale)
    for name, x in {"query": q, "key": k, "value": v, "output": y}.items():
        arrays[name] = x if layout == "4-D" else packed(x) if layout == "packed 3-D" else packed(x)[0]
    arrays["present_state"] = present
    for name in ("output", "present_state"):
        if dtype != np.float64:
            arrays[name] = arrays[name].astype(np.float32)
    return case, arrays


def main():
    rng = np.random.default_rng(SEED)
    cases, files = [], {}
    for index in range(COUNT):
        case, arrays = draw(rng, index)
        case["inputs"] = [name for name in ("decay", "beta", "past_state") if name in arrays]
        case["is_double"] = bool(arrays["query"].dtype == np.float64)
        cases.append(case)
        files.update({f"{case['name']}.{name}": x for name, x in arrays.items()})
    HERE.mkdir(exist_ok=True)
    np.savez_compressed(HERE / "cases.npz", **files)
    (HERE / "cases.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
