"""Makes tests/data/statistics/grid.json and grid.npy: each score with each normalizer under each kind of mask (needs NumPy).

    python3 make_statistics_grid.py

grid.json has a small run for each of them: its inputs (by the hash of generated_input.py) and arguments, its shape, the position of the
first query of each batch entry. grid.npy has the oracle's dense weights of all of them and the norms of their values, in this order.
Among the kinds are single keys, keys and queries that occur several times, and queries and keys that a mask leaves alone.
"""

import json
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "oracle"))
import oracle  # noqa: E402
from generated_input import generate  # noqa: E402

HEAD_DIM, VALUE_DIM = 5, 3


class Case:
    """Inputs of [batch, heads, length, dim], arguments, and the oracle's keywords that mean the same."""

    def __init__(self, index, score, normalizer, q_len, kv_len, batch=1, past=0):
        # Two heads on one key/value head each, or on one together; few queries and more than fit beside each other there.
        self.kv_heads = 1 + index % 2
        self.shape = [batch, 2, q_len, past + kv_len]
        self.seed = 1000 + 16 * index
        self.inputs, self.arguments = {}, ["--score", score, "--normalize", normalizer]
        self.kw = {"score": score, "normaliser": normalizer}
        self.edits = {"q.npy": [], "k.npy": []}
        self.new, self.past, self.offset = kv_len, past, 0

    def flag(self, name, value=None):
        self.arguments += [name] if value is None else [name, str(value)]

    def file(self, name, shape, **more):
        self.inputs[name] = {"dtype": "float32", "shape": [int(n) for n in shape], "seed": self.seed, "amplitude": 1.5, **more}
        self.seed += 2
        return generate(self.inputs[name])

    def mask(self, values, dtype, kind):
        """A mask of [q_len, kv_len] that is spelled out."""
        flat = np.asarray(values).reshape(-1)
        edits = [[i, 1, {np.inf: "inf", -np.inf: "-inf"}.get(x, f"{x:g}")] for i, x in enumerate(flat.tolist())]
        more = {"binary": True, "dense": 0} if dtype == "bool" else {}
        self.file("mask.npy", np.shape(values), dtype=dtype, edits=edits, **more)
        self.flag("--mask", "mask.npy")
        self.flag("--mask-type", kind)

    def compute(self):
        batch, heads, q_len, _ = self.shape
        q = self.file("q.npy", [batch, heads, q_len, HEAD_DIM], edits=self.edits["q.npy"])
        k = self.file("k.npy", [batch, self.kv_heads, self.new, HEAD_DIM], edits=self.edits["k.npy"])
        v = self.file("v.npy", [batch, self.kv_heads, self.new, VALUE_DIM])
        self.arguments += ["-q", "q.npy", "-k", "k.npy", "-v", "v.npy"]
        if self.past:
            k = np.concatenate([self.file("pk.npy", [batch, self.kv_heads, self.past, HEAD_DIM]), k], axis=2)
            v = np.concatenate([self.file("pv.npy", [batch, self.kv_heads, self.past, VALUE_DIM]), v], axis=2)
            self.arguments += ["--past-key", "pk.npy", "--past-value", "pv.npy"]
        weights = oracle.attention(q, k, v, **self.kw).weights
        norms = np.repeat(np.linalg.norm(v, axis=-1), heads // self.kv_heads, axis=1)
        assert list(weights.shape) == self.shape
        return weights, norms


def pattern(case, random):
    """Pairs that stay: a query that sees nothing, a key that nobody sees, a query with a single key."""
    keep = random.random(case.shape[2:]) < 0.6
    keep[:, 0] = True
    keep[1, :], keep[2, :], keep[:, 3] = False, False, False
    keep[2, 4] = True
    return keep


def add_kind(case, kind, random):
    kw = case.kw
    if kind in ("causal", "causal end", "window", "alibi", "past"):
        if kind == "causal end":
            case.flag("--query-offset", "end")
            kw["align"], case.offset = "bottom_right", case.shape[3] - case.shape[2]
        elif kind == "past":
            kw["q_offset"] = case.offset = case.past
        else:
            case.flag("--query-offset", -2)  # the first queries stand before all keys
            kw["q_offset"] = case.offset = -2
    if kind in ("causal", "causal end", "past"):
        case.flag("--causal")
        kw["causal"] = True
    elif kind == "window":
        case.flag("--window", "1:0")
        kw["window"] = (1, 0)
    elif kind == "alibi":
        case.flag("--alibi")
        kw["alibi"] = True
    elif kind == "softcap":
        case.flag("--softcap", 0.75)
        kw["softcap"] = 0.75
    elif kind == "temperature":
        case.flag("--temperature", 1.75)
        kw["temperature"] = 1.75
    elif kind == "lengths":
        case.flag("--key-lengths", "4,0,1")
        kw["kv_lengths"] = np.array([4, 0, 1])
    elif kind in ("keep", "block"):
        keep = pattern(case, random)
        case.mask(keep if kind == "keep" else ~keep, "bool" if kind == "keep" else "uint8", kind)
        kw["keep"] = keep
    elif kind == "add":
        bias = np.where(pattern(case, random), np.round(random.normal(size=case.shape[2:]) * 4) / 4, -np.inf)
        case.mask(bias, "float32", "add")
        kw["bias"] = bias
    elif kind == "bias":
        kw["bias"] = case.file("bias.npy", [2, 1, case.shape[3]])
        case.flag("--bias", "bias.npy")
    elif kind == "segments":
        ids = [np.array([0, 1, 2] * case.shape[2])[:case.shape[2]], np.array([0, 0, 1] * case.shape[3])[:case.shape[3]]]
        for name, of in zip(("segments", "key-segments"), ids):  # nothing belongs to the queries of segment 2
            case.file(name + ".npy", of.shape, dtype="int32", edits=[[i, 1, str(x)] for i, x in enumerate(of.tolist())])
            case.flag("--" + name, name + ".npy")
        kw["keep"] = ids[0][:, None] == ids[1][None, :]
    elif kind == "ties":
        # Keys 1, 3 and 4 are one, queries 0 and 2 are one; query 1 is zero.
        case.edits["k.npy"] = [[h * case.new * HEAD_DIM + j * HEAD_DIM, HEAD_DIM, "0.625"] for h in range(case.kv_heads)
                               for j in (1, 3, 4)]
        case.edits["q.npy"] = [[(h * case.shape[2] + i) * HEAD_DIM, HEAD_DIM, x] for h in range(2)
                               for i, x in ((0, "0.5"), (1, "0"), (2, "0.5"))]


KINDS = ["none", "causal", "causal end", "window", "lengths", "keep", "block", "add", "bias", "segments", "alibi", "softcap",
         "temperature", "past", "ties", "single key"]


def main():
    cases, numbers = [], []
    for score in oracle.SCORES:
        for normalizer in oracle.NORMALISERS:
            for kind in KINDS:
                index = len(cases)
                q_len = 4 + index % 3 * 4
                case = Case(index, score, normalizer, q_len, {"single key": 1}.get(kind, 5 + index % 2 * 2),
                            batch=3 if kind == "lengths" else 1, past=2 if kind == "past" else 0)
                add_kind(case, kind, np.random.default_rng([40424, index]))
                weights, norms = case.compute()
                numbers += [weights.reshape(-1), norms.reshape(-1)]
                cases.append({"name": f"{score} {normalizer} {kind}", "kind": kind, "normalizer": normalizer, "shape": case.shape,
                              "offset": int(case.offset), "inputs": case.inputs, "arguments": case.arguments})
    folder = HERE / "statistics"
    (folder / "grid.json").write_text("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
    np.save(folder / "grid.npy", np.concatenate(numbers).astype(np.float32))
    print(len(cases), "cases")


if __name__ == "__main__":
    main()
