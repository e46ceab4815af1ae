# Makes the binary inputs of these documents and the patches of a digit: python3 make_data.py (NumPy only).
import csv
import numpy as np


def matrix(random, rows, columns):
    return random.uniform(-1, 1, (rows, columns)).round(1).astype(np.float32)


random = np.random.default_rng(4)
np.savez("projections.npz", Wq=matrix(random, 3, 3), Wk=matrix(random, 3, 3), Wv=matrix(random, 3, 3), Wo=np.eye(3, dtype=np.float32))
np.savez("heads.npz", Wq=matrix(random, 4, 4), Wk=matrix(random, 4, 4), Wv=matrix(random, 4, 4), Wo=matrix(random, 4, 4))
ones = np.ones((3, 3), np.float32)
np.savez("ones.npz", Wq=ones, Wk=ones, Wv=ones, Wo=np.eye(3, dtype=np.float32))
encoder = {"self_attn.in_proj_weight": matrix(random, 12, 4), "self_attn.out_proj.weight": matrix(random, 4, 4),
           "linear1.weight": matrix(random, 8, 4), "linear2.weight": matrix(random, 4, 8),
           "norm1.weight": np.ones(4, np.float32), "norm2.weight": np.ones(4, np.float32)}
np.savez("encoder.npz", **encoder)

# The first handwritten digit of the test file (../digits/ATTRIBUTION.md): 4 x 4 patches of 2 x 2 pixels.
with open("../digits/digits_test.csv") as file:
    row = list(csv.reader(file))[1]
image = np.array(row[:64], int).reshape(8, 8)
patches = image.reshape(4, 2, 4, 2).transpose(0, 2, 1, 3).reshape(16, 4)
np.savetxt("patches.csv", patches, "%d", ",")
