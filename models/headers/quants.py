"""What a quantization costs and loses: tensor types, file types, cache types, published quality. Pure.

Source of the tables: ggml.c (`type_traits`), ggml-common.h (block structs), llama.h (`llama_ftype`) and
common/arg.cpp (`kv_cache_types`) of the pinned llama.cpp.
"""

import re
from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log


@dataclass(frozen=True, slots=True)
class TensorType:
    """One ggml type: `block_bytes` bytes hold `block` values."""

    name: str
    block: int
    block_bytes: int

    @property
    def bits(self) -> float:
        """Bits per value."""
        return 8 * self.block_bytes / self.block

    def size(self, values: int) -> int:
        """Bytes of `values` values, a whole number of blocks."""
        return values // self.block * self.block_bytes


# By ggml's number: name, values in a block, bytes of it. Removed types (4, 5, 31 to 33, 36 to 38) are absent: llama.cpp
# refuses them.
_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 30: ("BF16", 1, 2), 28: ("F64", 1, 8),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8),
    41: ("Q1_0", 128, 18), 42: ("Q2_0", 64, 18), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    19: ("IQ1_S", 256, 50), 29: ("IQ1_M", 256, 56), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    22: ("IQ2_S", 256, 82), 18: ("IQ3_XXS", 256, 98), 21: ("IQ3_S", 256, 110), 23: ("IQ4_XS", 256, 136),
    20: ("IQ4_NL", 32, 18), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
}  # fmt: skip
TYPES: Mapping[int, TensorType] = {number: TensorType(*row) for number, row in sorted(_TYPES.items())}

# What the KV cache may be made of: ggml's number, by the name that llama.cpp's tools take; the usual ones first.
CACHE_TYPES: Mapping[str, int] = {TYPES[number].name.lower(): number for number in (1, 8, 2, 0, 30, 7, 6, 3, 20)}

# The label behind `general.file_type`. Removed ones (4 to 6, 33 to 35) are absent. Mixes that are made tensor by
# tensor (UD-…, …_L, …_XL) have no number of their own: they carry that of the mix they started from.
FILE_TYPES: Mapping[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1",
    10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M",
    18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0",
    37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
}  # fmt: skip

_FAMILY = re.compile(r"(?:UD-)?(Q\d_K|Q\d_\d|Q\d|IQ\d|TQ\d|MXFP4|NVFP4|BF16|F16|F32)(?![0-9])")

# Mean KL divergence of Llama 3 8B from its 16-bit weights, nats per token of Wikitext-2, and the file's GiB;
# quantized with an importance matrix (10 million tokens) where the table has such a row.
SCOREBOARD = "https://github.com/ggml-org/llama.cpp/blob/master/tools/perplexity/README.md"
_MEASURED = {
    "Q8_0": (0.001355, 7.96), "Q6_K": (0.005452, 6.14), "Q5_K_M": (0.010762, 5.33), "Q5_K_S": (0.016595, 5.21),
    "Q5_1": (0.018045, 5.65), "Q5_0": (0.022239, 5.21), "Q4_K_M": (0.028152, 4.58), "Q4_K_S": (0.031951, 4.37),
    "IQ4_NL": (0.035742, 4.35), "IQ4_XS": (0.036334, 4.14), "Q4_1": (0.071683, 4.78), "Q4_0": (0.071940, 4.34),
    "Q3_K_L": (0.073077, 4.03), "Q3_K_M": (0.084358, 3.74), "IQ3_M": (0.102534, 3.53), "IQ3_S": (0.111278, 3.42),
    "IQ3_XS": (0.138693, 3.28), "IQ3_XXS": (0.183625, 3.05), "Q3_K_S": (0.199821, 3.41), "IQ2_M": (0.325989, 2.74),
    "Q2_K": (0.332223, 2.96), "Q2_K_S": (0.403360, 2.96), "IQ2_S": (0.439197, 2.56), "IQ2_XS": (0.546290, 2.43),
    "IQ2_XXS": (0.812022, 2.24), "IQ1_M": (1.393084, 2.01), "IQ1_S": (2.254554, 1.88),
}  # fmt: skip
_LLAMA_3_8B = 8_030_261_248  # parameters
_ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}  # as llama-quantize takes them
_LOSSLESS = ("F16", "BF16", "F32")


@dataclass(frozen=True, slots=True)
class Quality:
    """How far a quantization departs from the 16-bit weights.

    `loss` is a mean KL divergence in nats per token, measured on one 8B model: it puts quantizations in order, and
    larger models lose less than it says. `source` is one phrase that tells measured from interpolated.
    """

    loss: float
    source: str


def family(label: str) -> str | None:
    """What a label says of the tensors whatever the mix: Q4_K of UD-Q4_K_XL, IQ2 of IQ2_M, F16 of fp16, else None."""
    match = _FAMILY.match(_canonical(label))
    if match is None:
        return None
    return "Q8_0" if match.group(1) == "Q8_K" else match.group(1)  # there are no files of Q8_K: Q8_K_XL is Q8_0 and F16


def quality(label: str, bits_per_weight: float) -> Quality:
    """The published figure of a label; for a label without one, what others of its size lose."""
    name = _canonical(label)
    name = _ALIASES.get(name, name)
    if name in _LOSSLESS:
        return Quality(0.0, "not quantized")
    if name in _MEASURED:
        return Quality(_MEASURED[name][0], f"mean KL divergence of Llama 3 8B, {SCOREBOARD}")
    source = f"no published figure; interpolated at {bits_per_weight:.2f} bits per weight from {SCOREBOARD}"
    return Quality(_loss_at(bits_per_weight), source)


def _canonical(label: str) -> str:
    return re.sub(r"^FP(?=16|32)", "F", label.upper())


def _frontier() -> list[tuple[float, float]]:
    """(bits per weight, log of the loss) of the measured quantizations that no smaller one beats."""
    points = sorted((8 * gib * 2**30 / _LLAMA_3_8B, log(loss)) for loss, gib in _MEASURED.values())
    best = points[:1]
    for point in points:
        if point[1] < best[-1][1]:
            best.append(point)
    return best


_FRONTIER = _frontier()


def _loss_at(bits: float) -> float:
    """The frontier's loss, its logarithm linear between two points and beyond the last ones."""
    right = min(max(bisect(_FRONTIER, (bits, 0.0)), 1), len(_FRONTIER) - 1)
    (x0, y0), (x1, y1) = _FRONTIER[right - 1 : right + 1]
    return exp(y0 + (y1 - y0) * (bits - x0) / (x1 - x0))
