"""Checks with NumPy, zipfile and safetensors the files in tests/data/io that attn wrote; the C++ tests compare with them.

After a wanted change of the writers: run `attn_test_npz --no-skip -tc="write the*"` and `attn_test_safetensors --no-skip
-tc="write the*"`, then this.
"""

import zipfile

import numpy as np
import safetensors.numpy
from make_io_fixtures import OUT, sample


def same(found, expected):
    assert found.dtype == expected.dtype and found.shape == expected.shape and (found == expected).all()


if __name__ == "__main__":
    for name in ["written_stored.npz", "written_zip64.npz"]:
        with zipfile.ZipFile(OUT / name) as archive:
            assert archive.testzip() is None
    stored = np.load(OUT / "written_stored.npz", allow_pickle=False)
    assert stored.files == ["Y", "layer/W", "\u03b1"]
    same(stored["Y"], sample((3, 5), "float32"))
    same(stored["layer/W"], sample((3, 5), "bool"))
    same(stored["\u03b1"], sample((3, 5), "bool"))
    same(np.load(OUT / "written_zip64.npz")["stored"], sample((3, 5), "float32"))
    tensors = safetensors.numpy.load_file(OUT / "written.safetensors")
    assert len(tensors) == 3
    for name in ["bool", "float32", "bfloat16"]:
        same(tensors[name], sample((3, 5), name))
    print("all right")
