"""Input arrays made from a hash, so that tests need not store them (needs NumPy).

tests/conformance/generated_input.cpp makes the same numbers: both must change together.
"""

import numpy as np

FLOAT_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
INTEGERS = {"int8": -2, "int16": -2, "int32": -2, "int64": -2, "uint8": 0, "uint16": 0, "uint32": 0}


def hashes(seed, count):
    """splitmix64's finalizer of seed * 2^32 + index."""
    x = np.arange(count, dtype=np.uint64) + np.uint64((seed << 32) + 0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def generate(spec):
    """The float64 values (bool for masks) of one input file; every number is exact in the file's type."""
    count, dtype = int(np.prod(spec["shape"], dtype=np.int64)), spec["dtype"]
    h = hashes(spec["seed"], count)
    if dtype == "bool" or spec.get("binary"):
        values = ((h >> np.uint64(56)) < np.uint64(spec["dense"])).astype(float)
    elif dtype in INTEGERS:
        values = (h >> np.uint64(62)).astype(float) + INTEGERS[dtype]
    else:
        bits = FLOAT_BITS[dtype]
        values = ((h >> np.uint64(64 - bits)).astype(float) - 2.0 ** (bits - 1)) * 2.0 ** (1 - bits) * spec["amplitude"]
    if "hidden" in spec:  # of 256 entries of an additive mask, about that many are -inf
        values[(hashes(spec["seed"] + 1, count) >> np.uint64(56)) < np.uint64(spec["hidden"])] = -np.inf
    for start, length, value in spec.get("edits", []):
        values[start:start + length] = float(value)
    return values.reshape(spec["shape"])
