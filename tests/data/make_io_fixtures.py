"""Makes the binary files in tests/data/io: python3 make_io_fixtures.py (needs NumPy, ml_dtypes and safetensors).

Elements follow one rule that the C++ tests compute for themselves: element i of the flattened row-major array is
i % 7 - 3 + 0.5 for floats, i % 7 - 3 for signed integers, i % 7 for unsigned ones, and i % 3 == 0 for bools.
"""

import pathlib

import ml_dtypes
import numpy as np

OUT = pathlib.Path(__file__).parent / "io"
TYPES = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float32": np.float32,
    "float64": np.float64,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "bool": np.bool_,
}


def sample(shape, name):
    """The array of the rule above, in native order."""
    i = np.arange(int(np.prod(shape, dtype=np.int64)))
    if "float" in name:
        values = i % 7 - 3 + 0.5
    elif name.startswith("int"):
        values = i % 7 - 3
    elif name == "bool":
        values = i % 3 == 0
    else:
        values = i % 7
    return values.astype(TYPES[name]).reshape(shape)


def save(name, array, version=None):
    with open(OUT / name, "wb") as file:
        np.lib.format.write_array(file, array, version)


def npy_files():
    for name in TYPES:
        array = sample((3, 5), name)
        save(f"little_c_{name}.npy", array)
        if name == "bfloat16":  # NumPy cannot swap the bytes of a foreign type
            continue
        save(f"big_f_{name}.npy", np.asfortranarray(array.astype(array.dtype.newbyteorder(">"))))
    for shape in [(), (5,), (2, 3, 5), (2, 3, 5, 7), (0,), (3, 0), (2, 0, 4), (1, 1, 9)]:
        dims = "x".join(map(str, shape)) or "scalar"
        save(f"shape_c_{dims}.npy", sample(shape, "float32"))
        save(f"shape_f_{dims}.npy", np.asarray(sample(shape, "float32"), order="F"))
    save("tiles_f_67x33.npy", np.asfortranarray(sample((67, 33), "int16")))
    for version in [(1, 0), (2, 0), (3, 0)]:
        save(f"version_{version[0]}.npy", sample((2, 2), "float32"), version)


def refused_npy_files():
    save("refused_rank5.npy", sample((1, 2, 1, 2, 1), "float32"))
    save("refused_complex.npy", np.zeros(2, np.complex64))
    save("refused_text.npy", np.array(["a", "bc"]))
    save("refused_bytes.npy", np.array([b"a", b"bc"]))
    save("refused_object.npy", np.array([{}, 1], dtype=object))
    save("refused_record.npy", np.zeros(2, dtype=[("x", "<f4"), ("y", "<i4")]))
    save("refused_time.npy", np.array(["2024-01-01"], dtype="datetime64[D]"))
    save("refused_longdouble.npy", np.zeros(2, np.longdouble))
    save("refused_raw.npy", np.zeros(2, "V3"))


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    npy_files()
    refused_npy_files()
