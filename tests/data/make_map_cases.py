"""Makes tests/data/maps/cases.json: distances of rows and of heads as SciPy has them, and best assignments (needs NumPy and SciPy).

    python3 make_map_cases.py

`rows`: two rows and their distances: scipy.stats.entropy(b, a), the square of scipy.spatial.distance.jensenshannon, the mean squared
difference, scipy.spatial.distance.cosine. Rows are rounded to float32 before, so they do not add up to 1 exactly; some hold zeros, some are
not of sum 1 at all. `maps`: two maps with different numbers of heads, and for each distance the assignment of
scipy.optimize.linear_sum_assignment on the matrix of mean distances with its cost; all optima are unique. `costs`: matrices and the cost of
their best assignment.
"""

import json
import pathlib

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cosine, jensenshannon
from scipy.stats import entropy

HERE = pathlib.Path(__file__).resolve().parent
SEED = 60713
METRICS = {
    "kl": lambda a, b: entropy(b, a),
    "js": lambda a, b: jensenshannon(a, b) ** 2,
    "mse": lambda a, b: np.mean((a - b) ** 2),
    "cosine": cosine,
}


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).astype(np.float32).astype(float)


def numbers(x):
    return [float(f"{v:.17g}") for v in np.ravel(x)]


def draw_rows(rng, index):
    width = [1, 2, 3, 7, 8, 31, 97][index % 7]
    spread = [0.1, 1.0, 6.0][index % 3]
    a = softmax(spread * rng.normal(size=width))
    b = softmax(np.log(a) + spread * rng.normal(size=width)) if index % 2 else softmax(spread * rng.normal(size=width))
    if index % 5 == 0 and width > 2:
        a[width // 2] = b[width // 2] = 0
        b[0] = 0
    if index % 7 == 3:
        a *= 3
    return {"a": numbers(a), "b": numbers(b), **{name: float(f(a, b)) for name, f in METRICS.items()}}


def draw_maps(rng, heads_a, heads_b, batch, q_len, kv_len):
    few = min(heads_a, heads_b)
    a = rng.normal(size=(batch, heads_a, q_len, kv_len))
    b = rng.normal(size=(batch, heads_b, q_len, kv_len))
    pairs = list(zip(rng.permutation(heads_a)[:few], rng.permutation(heads_b)[:few]))
    for i, j in pairs[: few // 2 + 1]:
        b[:, j] = a[:, i] + 0.3 * rng.normal(size=(batch, q_len, kv_len))
    a, b = softmax(a), softmax(b)
    case = {"a": {"shape": list(a.shape), "values": numbers(a)}, "b": {"shape": list(b.shape), "values": numbers(b)}}
    for name, f in METRICS.items():
        means = np.array([[np.mean([f(a[n, i, q], b[n, j, q]) for n in range(batch) for q in range(q_len)])
                           for j in range(heads_b)] for i in range(heads_a)])
        rows, columns = linear_sum_assignment(means)
        unit = lambda m: m / np.linalg.norm(m)
        transfer = [np.mean([np.linalg.norm(unit(a[n, i]) - unit(b[n, j])) for n in range(batch)]) for i, j in zip(rows, columns)]
        case[name] = {"pairs": [[int(i), int(j)] for i, j in zip(rows, columns)], "means": numbers(means[rows, columns]),
                      "transfer": numbers(transfer)}
    return case


def draw_costs(rng, rows, columns, whole):
    cost = rng.integers(0, 9, size=(rows, columns)).astype(float) if whole else rng.normal(size=(rows, columns))
    best = cost[linear_sum_assignment(cost)].sum()
    return {"rows": rows, "columns": columns, "cost": numbers(cost), "best": float(best)}


def main():
    rng = np.random.default_rng(SEED)
    cases = {
        "rows": [draw_rows(rng, index) for index in range(42)],
        "maps": [draw_maps(rng, *sizes) for sizes in [(2, 3, 1, 4, 5), (5, 3, 2, 3, 7), (1, 4, 1, 1, 2), (4, 1, 2, 2, 3), (6, 7, 1, 5, 11)]],
        "costs": [draw_costs(rng, r, c, n % 2 == 0) for n, (r, c) in
                  enumerate([(1, 1), (1, 5), (2, 2), (3, 3), (3, 7), (7, 7), (8, 8), (5, 13), (13, 13), (12, 16), (16, 31), (32, 32)])],
    }
    (HERE / "maps").mkdir(exist_ok=True)
    (HERE / "maps" / "cases.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
