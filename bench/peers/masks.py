"""Times PyTorch's scaled_dot_product_attention with a boolean mask that is a window: masks.py LENGTH HEAD_DIM THREADS LEFT RIGHT.

Prints the shortest of several runs in milliseconds, without and with the mask. `attn_mask_speed` is its counterpart.
"""

import sys
import time

import torch


def shortest(body, repeat=5):
    """The shortest of `repeat` runs, in milliseconds."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        body()
        best = min(best, time.perf_counter() - start)
    return best * 1e3


def main():
    length, dim, threads, left, right = (int(text) for text in sys.argv[1:6])
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(1, 1, length, dim, generator=generator) for _ in range(3))
    position = torch.arange(length)
    distance = position[None, :] - position[:, None]
    mask = (distance >= -left) & (distance <= right)
    attend = torch.nn.functional.scaled_dot_product_attention
    with torch.no_grad():
        print(f"no mask      {shortest(lambda: attend(query, key, value)):9.3f} ms")
        print(f"boolean mask {shortest(lambda: attend(query, key, value, attn_mask=mask)):9.3f} ms")


if __name__ == "__main__":
    main()
