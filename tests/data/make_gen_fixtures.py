"""Writes gen/: what `attn gen` must make, computed here from the publications alone, with exact and 60-digit arithmetic.

Needs numpy and mpmath. Philox4x32-10 follows Salmon et al. 2011; the normal quantile is the inverse error function; the positions
are those of Vaswani et al. 2017.
"""
from pathlib import Path

import mpmath
import numpy as np

mpmath.mp.dps = 60
OUT = Path(__file__).parent / "gen"
M32, M64 = 2**32 - 1, 2**64 - 1


def philox(counter, key):
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & M32, (p0 >> 32) ^ c3 ^ k1, p0 & M32
        k0, k1 = (k0 + 0x9E3779B9) & M32, (k1 + 0xBB67AE85) & M32
    return c0, c1, c2, c3


def word(seed, stream, index, draw=0):
    block = index // 2
    w = philox((block & M32, block >> 32, stream, draw), (seed & M32, seed >> 32))
    return w[0] | w[1] << 32 if index % 2 == 0 else w[2] | w[3] << 32


def normal(seed, count):
    def one(i):
        p = (mpmath.mpf(word(seed, 0, i) >> 12) + 0.5) / 2**52
        return float(mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1))
    return np.array([one(i) for i in range(count)])


def uniform(seed, count, low, high):
    return np.array([low + (high - low) * ((word(seed, 1, i) >> 11) * 2.0**-53) for i in range(count)])


def below(seed, stream, index, count):
    for draw in range(100):
        product = word(seed, stream, index, draw) * count
        if product & M64 >= 2**64 % count:
            return product >> 64
    raise AssertionError


def positions(rows, dim):
    def one(p, column):
        angle = mpmath.mpf(p) * mpmath.mpf(10000) ** (-mpmath.mpf(column - column % 2) / dim)
        return float(mpmath.sin(angle) if column % 2 == 0 else mpmath.cos(angle))
    return np.array([[one(p, c) for c in range(dim)] for p in rows])


def main():
    OUT.mkdir(exist_ok=True)
    np.save(OUT / "normal_seed0.npy", normal(0, 257))
    np.save(OUT / "normal_seed_large.npy", normal(2**64 - 3, 63))
    np.save(OUT / "uniform_seed7.npy", uniform(7, 257, -2.0, 3.0))
    np.save(OUT / "integers_seed1.npy", np.array([below(1, 2, i, 7) - 3 for i in range(257)], dtype=np.int64))
    np.save(OUT / "classes_seed5.npy", np.array([below(5, 3, i, 10) for i in range(101)], dtype=np.int64))
    np.save(OUT / "positions_64.npy", positions(range(65), 64))
    np.save(OUT / "positions_7.npy", positions(range(31), 7))


if __name__ == "__main__":
    main()
