"""Makes the binary files in tests/data/io: python3 make_io_fixtures.py (needs NumPy, ml_dtypes and safetensors).

Elements follow one rule that the C++ tests compute for themselves: element i of the flattened row-major array is
i % 7 - 3 + 0.5 for floats, i % 7 - 3 for signed integers, i % 7 for unsigned ones, and i % 3 == 0 for bools.
"""

import io
import pathlib
import zipfile

import ml_dtypes
import numpy as np
import safetensors.numpy

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


def npz_files():
    arrays = {"Q": sample((3, 5), "float32"), "K": sample((4, 5), "float64"), "M": sample((3, 4), "bool")}
    np.savez(OUT / "three_stored.npz", **arrays)
    np.savez_compressed(OUT / "three_deflated.npz", **arrays)
    np.savez(OUT / "one.npz", only=sample((2, 3), "int32"))
    np.savez_compressed(OUT / "zeros.npz", zeros=np.zeros((100, 100), np.float32))
    np.savez_compressed(OUT / "order.npz", f=np.asfortranarray(sample((40, 37), "float64")), b=sample((6,), "int32").astype(">i4"))
    entry("zip64.npz", zipfile.ZIP_DEFLATED, force_zip64=True)
    entry("bzip2.npz", zipfile.ZIP_BZIP2)
    entry("folder.npz", zipfile.ZIP_STORED, names=["layer/0/w.npy", "layer/1/w.npy", "notes.txt"])
    with zipfile.ZipFile(OUT / "empty.npz", "w"):
        pass


def entry(file, method, names=("x.npy",), force_zip64=False):
    """An archive made by Python's zipfile; everything in it is the same small array."""
    content = io.BytesIO()
    np.save(content, sample((3, 5), "float32"))
    with zipfile.ZipFile(OUT / file, "w", method) as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=force_zip64) as out:
                out.write(content.getvalue())


def safetensors_files():
    safetensors.numpy.save_file(
        {name: sample((3, 5), name) for name in TYPES}, OUT / "types.safetensors", {"format": "pt", "note": "two"}
    )
    safetensors.numpy.save_file({"only": sample((2, 3, 4), "float32")}, OUT / "one.safetensors")
    safetensors.numpy.save_file(
        {
            "model.layers.0.q_proj.weight": sample((4, 4), "float32"),
            "scalar": sample((), "float32"),
            "empty": sample((0, 3), "float32"),
            "rank5": sample((1, 1, 1, 1, 2), "float32"),
            "float8": np.zeros(3, ml_dtypes.float8_e4m3fn),
        },
        OUT / "mixed.safetensors",
    )


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    npy_files()
    refused_npy_files()
    npz_files()
    safetensors_files()
