"""Makes tests/data/oracle: random runs of `attn run` and what tests/oracle/oracle.py says they give (needs NumPy).

    python3 make_oracle_cases.py

cases.json lists the runs: the input files, the arguments, and where the expected arrays stand in expected_f32.npy or
expected_f64.npy (float64 runs). Inputs are not stored: generated_input.py and tests/conformance/generated_input.cpp make them from
a hash of (seed, index), exactly. Of an expected array with more than KEPT elements only KEPT are stored, at hashed places.
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
from generated_input import hashes  # noqa: E402

COUNT = 720
KEPT = 400
SEED = 20260
NAMES = {"output": "-o", "weights": "--weights", "scores": "--scores", "lse": "--lse", "present-key": "--present-key",
         "present-value": "--present-value"}


class Expected:
    """The two files of expected numbers."""

    def __init__(self):
        self.pieces = {"f32": [], "f64": []}
        self.count = Counter()

    def add(self, values, kind, seed):
        flat = np.ascontiguousarray(values, dtype=float).ravel()
        finite = np.abs(flat[np.isfinite(flat)])
        entry = {"shape": list(values.shape), "offset": self.count[kind], "largest": float(finite.max(initial=0))}
        if flat.size > KEPT:
            entry["sample_seed"] = seed
            flat = flat[(hashes(seed, KEPT) % np.uint64(flat.size)).astype(np.int64)]
        self.pieces[kind].append(flat)
        self.count[kind] += flat.size
        return entry

    def write(self, folder):
        for kind, dtype in (("f32", "<f4"), ("f64", "<f8")):
            np.save(folder / f"expected_{kind}.npy", np.concatenate(self.pieces[kind]).astype(dtype))


def draw_case(index, expected, tally, attempt=0):
    d = draws.Draw(index, np.random.default_rng([SEED, index, attempt]))
    s = draws.draw_sizes(d)
    kw = draws.draw_score(d, s)
    q, k, v = draws.draw_rows(d, s, kw["score"])
    draws.draw_positions(d, s, kw)
    draws.draw_masks(d, s, kw)
    if s["head_dim"] == s["value_dim"] and d.chance(0.15):
        kw["residual"] = True
        d.flag("--residual")
    result = oracle.attention(q, k, v, **kw)
    if not np.isfinite(result.output).all():
        raise SystemExit(f"case {index}: the oracle gives NaN")
    is_empty = np.isneginf(result.logits).all(axis=-1)
    if kw["normaliser"] == "sigmoid" and not is_empty.all() and result.weights.max(initial=0) < 0.01:
        # The oracle's sigmoid, by way of tanh, has an absolute error of 1e-16: it cannot judge weights that all are tiny.
        return draw_case(index, expected, tally, attempt + 1)
    if is_empty.any() and d.chance(0.3) and "--combine" not in d.arguments:
        d.flag("--empty-rows", "nan")
        result.output[is_empty] = np.nan
        result.weights[is_empty] = np.nan
    double = any(d.files[f]["dtype"] == "float64" for f in d.files if f[0] in "qkvp")
    if d.chance(0.15):
        kind = d.pick(["f32", "f64"])
        d.flag("--dtype", kind)
        double = kind == "f64"
    poisoned = draws.poison(d, s, result)
    want = draws.wanted_outputs(d, s, kw, result, v, (k, v), poisoned)
    outputs = {}
    for position, (name, values) in enumerate(want.items()):
        d.flag(NAMES[name], name + ".npy")
        outputs[name] = expected.add(values, "f64" if double else "f32", d.next_seed + position)
        d.tags.append("output " + name)
    tally.update(set(d.tags) | {"layout " + s["layout"], "score x normalizer " + kw["score"] + " " + kw["normaliser"]})
    tally.update(["empty rows"] if is_empty.any() else [])
    return {"name": f"{index:03d}", "double": double, "inputs": d.files, "arguments": d.arguments, "outputs": outputs}


def main():
    folder = HERE / "oracle"
    folder.mkdir(exist_ok=True)
    expected, tally = Expected(), Counter()
    cases = [draw_case(index, expected, tally) for index in range(COUNT)]
    expected.write(folder)
    (folder / "cases.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    for name, count in sorted(tally.items()):
        print(f"{count:5d}  {name}")


if __name__ == "__main__":
    main()
