"""Makes tests/data/statistics/cases.json: random runs of `attn run` and the statistics of the oracle's dense weights (needs NumPy).

    python3 make_statistics_cases.py

Inputs are those of make_oracle_cases.py, drawn with another seed. Of each case some rows and columns are kept, at random places: their
entropy, largest weight, its place, the second largest (how clear the largest is), distance or received mass, and the three strongest.
The scores of each head's patterns. The same rows, columns and patterns once more by the norms of w_ij v_j: entropy and distance of their shares of the row.
"""

import json
import pathlib
import sys
from collections import Counter

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "oracle"))
import oracle  # noqa: E402
import oracle_draws as draws  # noqa: E402

COUNT = 220
KEPT = 10
SEED = 40423


def line_facts(weights, number):
    """Largest, its place, second largest, and the strongest three that are not 0."""
    order = np.argsort(-weights, kind="stable")
    second = weights[order[1]] if len(order) > 1 else 0.0
    top = [[int(j), number(weights[j])] for j in order[:3] if weights[j] != 0]
    return [number(weights[order[0]]), int(order[0]), number(second), top]


def positions(s, kw):
    lengths = np.broadcast_to(kw.get("kv_lengths", s["kv_len"]), s["batch"])
    offset = lengths - s["q_len"] if kw.get("align") == "bottom_right" else kw.get("q_offset", 0)
    return np.broadcast_to(offset, s["batch"])[:, None] + np.arange(s["q_len"])


def entropy_of(weights):
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.where(weights == 0, 0, weights * np.log(np.where(weights == 0, 1, weights))).sum(-1)


BAND = 3


def patterns(shares, p):
    """Of each head: mean shares of the key before the query, of the first, of the query's own, of the band, and how even they are."""
    batch, heads, q_len, kv_len = shares.shape
    keys = np.arange(kv_len)
    total = shares.sum(-1, keepdims=True)
    entropy = entropy_of(shares / np.where(total == 0, 1, total))
    found = []
    for b, h in np.ndindex(batch, heads):
        w, far = shares[b, h], keys - p[b][:, None]
        told = (w != 0).sum(-1) >= 2
        mean = lambda x, rows: float(x[rows].mean()) if rows.any() else 0.0
        at = lambda k: (np.where(far == k, w, 0).sum(-1), told & (p[b] + k >= 0) & (p[b] + k < kv_len))
        with np.errstate(divide="ignore", invalid="ignore"):
            even = entropy[b, h] / np.log((w != 0).sum(-1))
        band = np.where(np.abs(far) <= BAND, w, 0).sum(-1)
        # What float32 takes for 0 and float64 does not is counted by one of them.
        sure = not ((w > 0) & (w < 1e-36)).any()
        scores = [mean(*at(-1)), mean(w[:, 0], told), mean(*at(0)), mean(band, told), mean(even, told)]
        found.append(scores if sure else None)
    return found


def norm_facts(w, v, s, p, rows, columns, number):
    """What rows and columns of ||w_ij v_j|| say, for the lines that are kept."""
    lengths = np.repeat(np.linalg.norm(v.astype(float), axis=-1), s["heads"] // s["kv_heads"], axis=1)
    norms = np.where(w == 0, 0, np.abs(w) * lengths[:, :, None, :])
    total = norms.sum(-1, keepdims=True)
    shares = norms / np.where(total == 0, 1, total)
    distance = (shares * np.abs(p[:, None, :, None] - np.arange(s["kv_len"]))).sum(-1)
    flat = norms.reshape(-1, s["kv_len"])
    across = norms.swapaxes(-1, -2).reshape(-1, s["q_len"])
    of_rows = [[r, number(entropy_of(shares).reshape(-1)[r]), number(distance.reshape(-1)[r]), *line_facts(flat[r], number)]
               for r in rows]
    of_columns = [[c, number(across[c].sum()), *line_facts(across[c], number)] for c in columns]
    return of_rows, of_columns, patterns(shares, p)


def draw_case(index, tally, attempt=0):
    # The first cases are one for each score and normalizer.
    pairs = [(score, normalizer) for score in oracle.SCORES for normalizer in oracle.NORMALISERS]
    while True:
        d = draws.Draw(index, np.random.default_rng([SEED, index, attempt]))
        s = draws.draw_sizes(d)
        kw = draws.draw_score(d, s)
        if index >= len(pairs) or (kw["score"], kw["normaliser"]) == pairs[index]:
            break
        attempt += 1
    q, k, v = draws.draw_rows(d, s, kw["score"])
    draws.draw_positions(d, s, kw)
    draws.draw_masks(d, s, kw)
    result = oracle.attention(q, k, v, **kw)
    w = result.weights
    if kw["normaliser"] == "sigmoid" and w.max(initial=0) < 0.01:
        return draw_case(index, tally, attempt + 1)  # the oracle's tanh has an absolute error of 1e-16
    double = any(d.files[f]["dtype"] == "float64" for f in d.files if f[0] in "qkvp")
    draws.poison(d, s, result)
    number = (lambda x: float(f"{x:.15g}")) if double else (lambda x: float(f"{x:.8g}"))
    p = positions(s, kw)
    rows, columns, norm_rows, norm_columns, heads, norm_heads = [], [], [], [], [], []
    lines = s["batch"] * s["heads"]
    if w.size:
        entropy = entropy_of(w)
        distance = (w * np.abs(p[:, None, :, None] - np.arange(s["kv_len"]))).sum(-1)
        flat = w.reshape(lines * s["q_len"], s["kv_len"])
        for r in sorted(d.rng.choice(len(flat), min(KEPT, len(flat)), replace=False)):
            facts = [number(entropy.reshape(-1)[r]), number(distance.reshape(-1)[r])]
            rows.append([int(r), *(facts if flat[r].min() >= 0 else [None, None]), *line_facts(flat[r], number)])
        across = w.swapaxes(-1, -2).reshape(lines * s["kv_len"], s["q_len"])
        for c in sorted(d.rng.choice(len(across), min(KEPT, len(across)), replace=False)):
            columns.append([int(c), number(across[c].sum()), *line_facts(across[c], number)])
        kept = [row[0] for row in rows][::2], [column[0] for column in columns][::2]
        norm_rows, norm_columns, norm_heads = norm_facts(w, v, s, p, *kept, number)
        heads = patterns(w, p) if w.min() >= 0 else []
    tally.update(set(d.tags) | {"score x normalizer " + kw["score"] + " " + kw["normaliser"]})
    tally.update(["empty rows"] if np.isneginf(result.logits).all(axis=-1).any() else [])
    return {"name": f"{index:03d}", "double": double, "normalizer": kw["normaliser"], "negative": bool((w < 0).any()),
            "lengths": [lines, s["q_len"], s["kv_len"]], "inputs": d.files, "arguments": d.arguments, "rows": rows,
            "columns": columns, "norm_rows": norm_rows, "norm_columns": norm_columns,
            "patterns": [[number(x) for x in head] if head else None for head in heads],
            "norm_patterns": [[number(x) for x in head] if head else None for head in norm_heads]}


def main():
    folder = HERE / "statistics"
    folder.mkdir(exist_ok=True)
    tally = Counter()
    cases = [draw_case(index, tally) for index in range(COUNT)]
    (folder / "cases.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    for name, count in sorted(tally.items()):
        print(f"{count:5d}  {name}")


if __name__ == "__main__":
    main()
