"""What an acceptance run asks about: models of real geometry, whole and under a limit, in requests."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from runner.types.units import GIB


@dataclass(frozen=True, slots=True)
class Case:
    """A quantization of one geometry, at most `limit` bytes of each device's memory (None: all), prompts in tokens."""

    model: str
    quant: str
    ctx: int
    limit: int | None = None
    prompts: tuple[int, ...] = (512, 4096, 14000)


_DENSE = Case("mistral-small-24b", "Q4_K_M", 16384, 10 * GIB)
_EXPERTS = Case("qwen3-30b-a3b", "Q4_K_M", 32768, 12 * GIB)
_SMALL = Case("llama-3.1-8b", "Q4_K_M", 16384)
_MXFP4 = Case("gpt-oss-20b", "MXFP4_MOE", 32768)
CASES: Mapping[str, Case] = {
    "24b-10g": _DENSE,
    "30b-a3b-12g": _EXPERTS,
    "8b": replace(_SMALL, ctx=65536, prompts=(512, 4096, 14000, 60000)),
    "oss": _MXFP4,
    "8b-iq3": replace(_SMALL, quant="IQ3_XXS"),
    "oss-8g": replace(_MXFP4, limit=8 * GIB),
    "8b-q3": replace(_SMALL, quant="Q3_K_M"),
    "24b": replace(_DENSE, limit=None),
    "30b-a3b": replace(_EXPERTS, limit=None),
    "tiny-dense": Case("tiny-dense", "Q4_K_M", 768, prompts=(64, 512)),
    "tiny-moe": Case("tiny-moe", "Q3_K_M", 768, prompts=(64, 512)),
    "tiny-mxfp4": Case("tiny-moe", "MXFP4_MOE", 768, prompts=(512,)),
}
DEFAULT = tuple(CASES)[:7]  # what matters most comes first, if time runs out
DRY = ("tiny-dense", "tiny-moe", "tiny-mxfp4")
