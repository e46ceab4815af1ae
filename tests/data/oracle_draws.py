"""Draws the runs of make_oracle_cases.py: sizes, input files, flags, and the oracle's keywords that mean the same."""

import numpy as np

import oracle
from generated_input import FLOAT_BITS, INTEGERS, generate

LENGTHS = [1, 2, 3, 5, 7, 13, 15, 16, 17, 31, 33, 47, 63, 64, 65, 95, 96, 97, 129, 193]
DIMS = [1, 2, 3, 4, 7, 8, 12, 15, 16, 17, 24, 31, 32, 33, 40, 63, 64, 65, 80, 96, 128, 129]
TAGGED = {"--score", "--normalize", "--combine", "--mask-type", "--rope", "--scores-stage", "--dtype", "--empty-rows"}


class Draw:
    """One random run: its files, its arguments, and the oracle's keywords."""

    def __init__(self, index, rng):
        self.index, self.rng = index, rng
        self.files, self.arguments, self.tags = {}, [], []
        self.next_seed = index * 64 + 1

    def chance(self, p):
        return self.rng.random() < p

    def pick(self, options, p=None):
        return options[self.rng.choice(len(options), p=p)]

    def flag(self, name, *values):
        self.arguments += [name, *map(str, values)]
        self.tags.append(" ".join([name, *map(str, values)]) if name in TAGGED else name)

    def file(self, name, shape, dtype, **more):
        """Declares an input and returns its values."""
        name += ".safetensors:x" if dtype == "bfloat16" else ".csv" if more.pop("text", False) else ".npy"
        self.files[name] = {"dtype": dtype, "shape": [int(n) for n in shape], "seed": self.next_seed, **more}
        self.next_seed += 2
        self.tags.append("dtype " + dtype)
        return name, generate(self.files[name])


def draw_sizes(d):
    """Layout and sizes, small enough for the oracle's Python loop."""
    s = {"layout": d.pick(["2d", "2d-heads", "3d", "3d-heads", "4d", "mixed"], [0.3, 0.15, 0.1, 0.2, 0.2, 0.05])}
    headed = s["layout"] in ("2d-heads", "3d-heads", "4d", "mixed")
    s["batch"] = 1 if s["layout"].startswith("2d") else d.pick([1, 2, 3])
    s["kv_heads"] = d.pick([1, 2, 3, 5]) if headed else 1
    s["heads"] = s["kv_heads"] * (d.pick([1, 1, 2, 3, 4]) if headed else 1)
    while True:
        s["q_len"], s["new"] = d.pick(LENGTHS), d.pick(LENGTHS)
        if d.chance(0.3):
            s["new"] = s["q_len"]
        if d.chance(0.02):
            s["q_len" if d.chance(0.5) else "new"] = 0
        s["past"] = d.pick([0, 1, 5, 16, 40]) if d.chance(0.25) else 0
        s["kv_len"] = s["past"] + s["new"]
        if s["batch"] * s["heads"] * s["q_len"] * max(s["kv_len"], 1) <= 30000:
            break
    s["head_dim"] = d.pick(DIMS)
    s["value_dim"] = s["head_dim"] if d.chance(0.4) else d.pick(DIMS)
    return s


def in_layout(x_shape, layout):
    """The file's shape for [batch, heads, length, dim]."""
    batch, heads, length, dim = x_shape
    return {"2d": (length, dim), "3d": (batch, length, dim), "2d-heads": (length, heads * dim),
            "3d-heads": (batch, length, heads * dim)}.get(layout, x_shape)


def to_four(values, x_shape, layout):
    batch, heads, length, dim = x_shape
    if layout in ("2d-heads", "3d-heads"):
        return values.reshape(batch, length, heads, dim).transpose(0, 2, 1, 3)
    return values.reshape(x_shape)


def from_four(y, layout):
    batch, heads, length, dim = y.shape
    if layout in ("2d-heads", "3d-heads"):
        y = y.transpose(0, 2, 1, 3)
    return y.reshape(in_layout((batch, heads, length, dim), layout))


def draw_rows(d, s, score):
    """Query, key, value and the past; returns [batch, heads, length, dim] arrays with the past joined."""
    dtype = d.pick(["float32", "float64", "float16", "bfloat16", "integer"], [0.62, 0.18, 0.08, 0.07, 0.05])
    amplitude = d.pick([1, 2]) if score == "sqeuclidean" else d.pick([1, 2, 2, 4])
    self_attention = s["layout"] == "2d" and s["new"] == s["q_len"] and s["value_dim"] == s["head_dim"] and d.chance(0.5)
    kv_layout = {"mixed": "3d-heads"}.get(s["layout"], s["layout"])

    def rows(name, heads, length, dim, layout):
        shape = (s["batch"], heads, length, dim)
        kind = d.pick(list(INTEGERS)) if dtype == "integer" else dtype
        text = dtype == "float32" and layout == "2d" and length > 0 and d.chance(0.15)
        more = {"text": text, **({"amplitude": amplitude} if kind in FLOAT_BITS else {})}
        file, _ = d.file(name, in_layout(shape, layout), kind, **more)
        spec = d.files[file]
        if score == "cosine" and length > 0 and d.chance(0.4):
            width, places = spec["shape"][-1], int(np.prod(spec["shape"][:-1]))
            spec["edits"] = [[int(row) * width, width, "0"] for row in d.rng.choice(places, min(3, places), replace=False)]
        return file, to_four(generate(spec), shape, layout)

    file, q = rows("q", s["heads"], s["q_len"], s["head_dim"], s["layout"])
    if self_attention:
        d.arguments += [file] if d.chance(0.5) else ["-q", file]
        s["files"] = None
        k = v = q
    else:
        d.flag("-q", file)
        file_k, k = rows("k", s["kv_heads"], s["new"], s["head_dim"], kv_layout)
        d.flag("-k", file_k)
        k_is_v = s["value_dim"] == s["head_dim"] and d.chance(0.1)
        file_v, v = (file_k, k) if k_is_v else rows("v", s["kv_heads"], s["new"], s["value_dim"], kv_layout)
        if not k_is_v:
            d.flag("-v", file_v)
        s["files"] = None if k_is_v else {"k": file_k, "v": file_v}
    if s["layout"] in ("2d-heads", "3d-heads", "mixed"):
        d.flag("--heads", s["heads"])
        if s["kv_heads"] != s["heads"] or d.chance(0.2):
            d.flag("--kv-heads", s["kv_heads"])
    s["new_rows"] = (k, v)
    if s["past"]:
        file, old = rows("pk", s["kv_heads"], s["past"], s["head_dim"], "4d")
        d.flag("--past-key", file)
        k = np.concatenate([old, k], axis=2)
        file, old = rows("pv", s["kv_heads"], s["past"], s["value_dim"], "4d")
        d.flag("--past-value", file)
        v = np.concatenate([old, v], axis=2)
    s["kv_layout"] = kv_layout
    return q, k, v


def draw_score(d, s):
    """Flags of the score, and the oracle's keywords for them."""
    score = d.pick(list(oracle.SCORES), [0.15, 0.4, 0.2, 0.12, 0.13])
    kw = {"score": score}
    if score != "scaled" or d.chance(0.3):
        d.flag("--score", score)
    if d.chance(0.25):
        kw["scale"] = d.pick([0.5, 0.0625, 0.3, 1.25, -0.25, 0.1])
        d.flag("--scale", kw["scale"])
    elif score in ("dot", "sqeuclidean") and s["head_dim"] > 16:
        kw["scale"] = 0.125  # as real data would be: logits of a few tens
        d.flag("--scale", kw["scale"])
    if d.chance(0.2):
        kw["temperature"] = d.pick([0.05, 0.1, 0.7] if score == "cosine" else [0.7, 1.5, 3.0])
        d.flag("--temperature", kw["temperature"])
    if d.chance(0.25):
        kw["softcap"] = d.pick([0.5, 2.0, 10.0, 30.0])
        d.flag("--softcap", kw["softcap"])
    kw["normaliser"] = d.pick(list(oracle.NORMALISERS), [0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    if kw["normaliser"] != "softmax" or d.chance(0.2):
        d.flag("--normalize", kw["normaliser"])
    return kw


def draw_positions(d, s, kw):
    """Lengths, offset, causal, window, ALiBi and RoPE."""
    if d.chance(0.2):
        lengths = [int(d.rng.integers(0, s["kv_len"] + 1)) for _ in range(s["batch"])]
        if d.chance(0.2):
            lengths = lengths[:1]
        if d.chance(0.3) and len(lengths) == s["batch"]:
            name, values = d.file("lengths", [s["batch"]], "int64")
            d.files[name]["edits"] = [[b, 1, str(n)] for b, n in enumerate(lengths)]
            d.flag("--key-lengths", name)
        else:
            d.flag("--key-lengths", ",".join(map(str, lengths)))
        kw["kv_lengths"] = np.array(lengths)
    if d.chance(0.3):
        kw["causal"] = True
        d.flag("--causal")
    if d.chance(0.2):
        sides = [None if d.chance(0.25) else int(d.pick([0, 1, 3, 8, 40])) for _ in range(2)]
        if sides != [None, None]:
            kw["window"] = tuple(sides)
            d.flag("--window", ":".join("" if side is None else str(side) for side in sides))
    if d.chance(0.15):
        kw["alibi"] = True
        d.flag("--alibi")
    if d.chance(0.25) and s["head_dim"] > 1:
        dim = int(d.pick([n for n in (2, 4, 8, 16, 32, 64) if n <= s["head_dim"]])) if s["head_dim"] % 2 or d.chance(0.3) else None
        kw["rope"] = oracle.Rope(base=d.pick([10000.0, 10000.0, 500.0, 1000000.0]), interleaved=d.chance(0.5), dim=dim)
        d.flag("--rope", "interleaved" if kw["rope"].interleaved else "half")
        if kw["rope"].base != 10000:
            d.flag("--rope-base", kw["rope"].base)
        if dim:
            d.flag("--rope-dim", dim)
    ambiguous = not s["past"] and s["q_len"] != s["kv_len"] and any(n in kw for n in ("causal", "window", "alibi"))
    if ambiguous or d.chance(0.15):
        draw_offset(d, s, kw)
    elif s["past"]:
        kw["q_offset"] = s["past"]


def draw_offset(d, s, kw):
    number = lambda: int(d.rng.integers(-min(s["q_len"], 3), s["kv_len"] + 2))
    kind = d.pick(["zero", "end", "number", "list", "file"])
    if kind == "end":
        kw["align"] = "bottom_right"
        d.flag("--query-offset", "end")
        return
    offsets = [0] if kind == "zero" else [number()] if kind == "number" else [number() for _ in range(s["batch"])]
    kw["q_offset"] = np.array(offsets) if len(offsets) == s["batch"] else offsets[0]
    if kind == "file":
        name, _ = d.file("offsets", [s["batch"]], "int32")
        d.files[name]["edits"] = [[b, 1, str(n)] for b, n in enumerate(offsets)]
        d.flag("--query-offset", name)
    else:
        d.flag("--query-offset", ",".join(map(str, offsets)))


def draw_masks(d, s, kw):
    """A mask of any type and broadcast shape, a bias, segments."""
    full = (s["batch"], s["heads"], s["q_len"], s["kv_len"])

    def shape(may_be_short):
        dims = [1 if d.chance(0.25) else n for n in full[-d.pick([1, 2, 3, 4], [0.15, 0.4, 0.15, 0.3]):]]
        dims[-1] = full[3] if dims[-1] != 1 or d.chance(0.7) else 1
        if may_be_short and full[3] > 2 and dims[-1] > 1 and d.chance(0.25):
            dims[-1] = int(d.rng.integers(2, full[3]))
        return dims

    def pad(values, filler):  # a mask that stops early hides the rest
        missing = full[3] - values.shape[-1] if values.shape[-1] != 1 else 0
        return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)], constant_values=filler)

    bias = np.zeros(())
    if d.chance(0.45):
        kind = d.pick(["auto-bool", "keep", "block", "auto-add", "add"])
        if kind in ("auto-add", "add"):
            dtype = d.pick(["float32", "float32", "float16"])
            name, values = d.file("mask", shape(True), dtype, amplitude=2, hidden=d.pick([0, 40, 120, 230]))
            if kind == "auto-add" and set(np.unique(values)) <= {0.0, 1.0}:
                kind = "add"
            bias = pad(values, -np.inf)
        else:
            dtype = "bool" if kind == "auto-bool" else d.pick(["bool", "uint8", "float32", "int64"])
            name, values = d.file("mask", shape(True), dtype, binary=True, dense=d.pick([20, 130, 220]))
            keep = values == 1 if kind != "block" else values == 0
            kw["keep"] = pad(keep, False)
        d.flag("--mask", name)
        if not kind.startswith("auto"):
            d.flag("--mask-type", kind)
    if d.chance(0.2):
        name, values = d.file("bias", shape(False), "float32", amplitude=4, **({"hidden": 60} if d.chance(0.5) else {}))
        d.flag("--bias", name)
        bias = bias + values
    if bias.ndim:
        kw["bias"] = bias
    if d.chance(0.1) and s["q_len"] > 0:
        draw_segments(d, s, kw)


def draw_segments(d, s, kw):
    per_batch = d.chance(0.5)
    lead = [s["batch"]] if per_batch else []
    name, query_ids = d.file("segments", lead + [s["q_len"]], "int32")
    d.flag("--segments", name)
    key_ids = query_ids
    if s["q_len"] != s["kv_len"] or d.chance(0.5):
        name, key_ids = d.file("key_segments", lead + [s["kv_len"]], "int64")
        d.flag("--key-segments", name)
    same = (query_ids[..., :, None] == key_ids[..., None, :]).reshape(s["batch"] if per_batch else 1, 1, s["q_len"], s["kv_len"])
    kw["keep"] = np.logical_and(kw.get("keep", True), same)


def poison(d, s, result):
    """NaN and infinities into keys and values that no query sees: nothing of them may show."""
    visible = ~np.isneginf(result.logits)
    group = s["heads"] // s["kv_heads"]
    unseen = ~visible.reshape(s["batch"], s["kv_heads"], group, s["q_len"], s["kv_len"]).any(axis=(2, 3))
    unseen = unseen[:, :, s["past"]:]
    if s["files"] is None or not unseen.any() or not d.chance(0.7):
        return False
    for role, dim in (("k", s["head_dim"]), ("v", s["value_dim"])):
        spec = d.files[s["files"][role]]
        if spec["dtype"] not in FLOAT_BITS:
            return False
        places = np.arange(int(np.prod(spec["shape"]))).reshape(spec["shape"])
        places = to_four(places, (s["batch"], s["kv_heads"], s["new"], dim), s["kv_layout"])
        edits = [[int(places[at][0]), dim, d.pick(["nan", "inf", "-inf"])] for at in zip(*np.nonzero(unseen))]
        spec["edits"] = spec.get("edits", []) + edits[:40]
    d.tags.append("poison")
    return True


def wanted_outputs(d, s, kw, result, v, keys_values, poisoned):
    """The arrays the run writes, by the name of their option."""
    lead = {"2d": (), "3d": (s["batch"],), "2d-heads": (s["heads"],)}.get(s["layout"], (s["batch"], s["heads"]))
    pairs = lambda x: x.reshape(lead + x.shape[2:])
    want = {}
    rows_size = s["batch"] * s["heads"] * s["q_len"] * s["kv_len"] * s["value_dim"]
    if rows_size <= 20000 and d.chance(0.25) and "residual" not in kw:
        d.flag("--combine", "rows")
        value = np.repeat(v, s["heads"] // s["kv_heads"], axis=1)[:, :, None]
        want["output"] = pairs(result.weights[..., None] * value)
    elif d.chance(0.93):
        want["output"] = from_four(result.output, s["layout"])
    else:
        d.flag("-o", "none")
    if d.chance(0.35):
        want["weights"] = pairs(result.weights)
    if d.chance(0.35):
        stage = "masked" if poisoned else d.pick(["raw", "capped", "masked"])
        if stage != "raw" or d.chance(0.3):
            d.flag("--scores-stage", stage)
        want["scores"] = pairs({"raw": result.scores, "capped": result.capped, "masked": result.logits}[stage])
    if d.chance(0.25) or not want:
        with np.errstate(divide="ignore"):
            largest = np.max(result.logits, axis=-1, initial=-np.inf)
            safe = np.where(np.isneginf(largest), 0, largest)
            lse = safe + np.log(np.sum(np.exp(result.logits - safe[..., None]), axis=-1))
        want["lse"] = pairs(lse)
    if (s["past"] or d.chance(0.05)) and not poisoned and d.chance(0.5):
        want["present-key"], want["present-value"] = keys_values
    return want
