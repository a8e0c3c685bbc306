"""Random blocks of ggml's types: every value finite, even around 0, and as large as was asked.

Layouts from ggml-common.h of the pinned llama.cpp. A block is random bits but for its scales: any index into the
grids of the IQ types is a valid one.
"""

from collections.abc import Callable, Mapping
from math import log2

import numpy as np
from numpy.typing import NDArray

from models.headers.quants import TYPES

Bytes = NDArray[np.uint8]
Fill = Callable[[np.random.Generator, int, float], Bytes]  # (source, number of values, their deviation)

_E2M1 = 2.926  # deviation of the sixteen values of MXFP4 at scale 1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives
_BY_NAME = {kind.name: kind for kind in TYPES.values()}


def _floats(kind: type[np.floating]) -> Fill:
    return lambda rng, values, deviation: (rng.standard_normal(values) * deviation).astype(kind).view(np.uint8)


def _bfloats(rng: np.random.Generator, values: int, deviation: float) -> Bytes:
    """The upper half of a float32, rounded towards 0."""
    wide = (rng.standard_normal(values) * deviation).astype(np.float32)
    return (wide.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)


def _bits(name: str, rng: np.random.Generator, values: int) -> Bytes:
    """Random blocks, one a row."""
    kind = _BY_NAME[name]
    return rng.integers(0, 256, (values // kind.block, kind.block_bytes), np.uint8)


def _blocks(name: str, unit: float, scales: Mapping[int, float]) -> Fill:
    """Random bits but for the float16 `scales`: multiples of d by offset. `unit`: the deviation of values at d = 1."""

    def fill(rng: np.random.Generator, values: int, deviation: float) -> Bytes:
        blocks = _bits(name, rng, values)
        for offset, factor in scales.items():
            scale = np.array([factor * deviation / unit], np.float16)
            blocks[:, offset : offset + 2] = scale.view(np.uint8)
        return blocks

    return fill


def _mxfp4(rng: np.random.Generator, values: int, deviation: float) -> Bytes:
    """The scale is a power of two, 2^(byte - 127): two neighbours, as often as gives the wanted variance.

    Never byte 0 or 1, whose values are no normal floats.
    """
    blocks = _bits("MXFP4", rng, values)
    low = np.floor(log2(deviation / _E2M1))
    share = ((deviation / _E2M1) ** 2 / 4**low - 1) / 3  # of blocks with the larger scale: the variance is linear in it
    blocks[:, 0] = np.where(rng.random(len(blocks)) < share, 128 + low, 127 + low)
    return blocks


def _iq1_m(rng: np.random.Generator, values: int, deviation: float) -> Bytes:
    """The float16 is cut into four: the upper halves of bytes 49, 51, 53 and 55, the lowest bits first."""
    blocks = _bits("IQ1_M", rng, values)
    scale = int(np.array([deviation / 7.20], np.float16).view(np.uint16)[0])
    for number in range(4):
        blocks[:, 49 + 2 * number] &= 0x0F
        blocks[:, 49 + 2 * number] |= (scale >> 4 * number & 0x0F) << 4
    return blocks


# Where a block has a minimum beside its scale, it is set so that values are even around 0: Q4_K is
# d * (6 bits) * (4 bits) - dmin * (6 bits) with dmin = 7.5 d.
FILLS: Mapping[str, Fill] = {
    "F32": _floats(np.float32),
    "F16": _floats(np.float16),
    "BF16": _bfloats,
    "Q4_0": _blocks("Q4_0", 4.6, {0: 1}),
    "Q4_1": _blocks("Q4_1", 4.61, {0: 1, 2: -7.5}),
    "Q5_0": _blocks("Q5_0", 9.23, {0: 1}),
    "Q5_1": _blocks("Q5_1", 9.23, {0: 1, 2: -15.5}),
    "Q8_0": _blocks("Q8_0", 73.9, {0: 1}),
    "Q2_K": _blocks("Q2_K", 13.87, {80: 1, 82: 1.5}),
    "Q3_K": _blocks("Q3_K", 43.3, {108: 1}),
    "Q4_K": _blocks("Q4_K", 258, {0: 1, 2: 7.5}),
    "Q5_K": _blocks("Q5_K", 527, {0: 1, 2: 15.5}),
    "Q6_K": _blocks("Q6_K", 1366, {208: 1}),
    "IQ1_S": _blocks("IQ1_S", 7.19, {0: 1}),
    "IQ1_M": _iq1_m,
    "IQ2_XXS": _blocks("IQ2_XXS", 53.4, {0: 1}),
    "IQ2_XS": _blocks("IQ2_XS", 55.9, {0: 1}),
    "IQ2_S": _blocks("IQ2_S", 56.4, {0: 1}),
    "IQ3_XXS": _blocks("IQ3_XXS", 142.3, {0: 1}),
    "IQ3_S": _blocks("IQ3_S", 140.4, {0: 1}),
    "IQ4_NL": _blocks("IQ4_NL", 67.1, {0: 1}),
    "IQ4_XS": _blocks("IQ4_XS", 1246, {0: 1}),
    "MXFP4": _mxfp4,
}
