"""Numbers that a C test can make again to the last bit (made_numbers in tests/unit/golden.h): the
linear congruential generator with Knuth's MMIX constants, s = a s + c modulo 2^64, and
u = (top 20 bits of s)/2^20 - 1/2. Times a scale of few digits they are exact in float32, too."""

import numpy as np


def made_numbers(seed, scale, *shape):
    """Array of scale times u, row by row."""
    values = np.empty(int(np.prod(shape)))
    s = seed
    for i in range(values.size):
        s = (s * 6364136223846793005 + 1442695040888963407) % 2**64
        values[i] = (s >> 44) / 2**20 - 0.5
    return scale * values.reshape(shape)


def digits(values, count):
    """Nested lists of floats with so many significant digits."""
    if np.ndim(values) > 0:
        return [digits(value, count) for value in values]
    return float(f"{float(values):.{count}g}")
