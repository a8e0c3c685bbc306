"""Which type each tensor gets in each published quantization.

The rules of llama-quantize (llama-quant.cpp of the pinned llama.cpp: `tensor_allows_quantization`,
`llama_tensor_get_type_impl`, `tensor_type_fallback`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from models.headers.quants import TYPES

Dims = tuple[int, ...]
Named = tuple[str, Dims]

NUMBERS: Mapping[str, int] = {kind.name: number for number, kind in TYPES.items()}


@dataclass(frozen=True, slots=True)
class Mix:
    """One quantization: llama.cpp's number for `general.file_type` and the type that most tensors get."""

    file_type: int
    default: str


QUANTS: Mapping[str, Mix] = {
    "F16": Mix(1, "F16"),
    "BF16": Mix(32, "BF16"),
    "Q8_0": Mix(7, "Q8_0"),
    "Q6_K": Mix(18, "Q6_K"),
    "Q5_K_M": Mix(17, "Q5_K"),
    "Q5_K_S": Mix(16, "Q5_K"),
    "Q4_K_M": Mix(15, "Q4_K"),
    "Q4_K_S": Mix(14, "Q4_K"),
    "Q4_0": Mix(2, "Q4_0"),
    "MXFP4_MOE": Mix(38, "MXFP4"),
    "IQ4_NL": Mix(25, "IQ4_NL"),
    "IQ4_XS": Mix(30, "IQ4_XS"),
    "Q3_K_L": Mix(13, "Q3_K"),
    "Q3_K_M": Mix(12, "Q3_K"),
    "Q3_K_S": Mix(11, "Q3_K"),
    "IQ3_M": Mix(27, "IQ3_S"),
    "IQ3_XS": Mix(22, "IQ3_S"),
    "IQ3_XXS": Mix(23, "IQ3_XXS"),
    "Q2_K": Mix(10, "Q2_K"),
    "IQ2_M": Mix(29, "IQ2_S"),
}
LOWEST: Mapping[str, Mix] = {
    "IQ2_S": Mix(28, "IQ2_XS"),
    "IQ2_XS": Mix(20, "IQ2_XS"),
    "IQ2_XXS": Mix(19, "IQ2_XXS"),
    "IQ1_M": Mix(31, "IQ1_M"),
    "IQ1_S": Mix(24, "IQ1_S"),
}
MIXES: Mapping[str, Mix] = {**QUANTS, **LOWEST}

_FALLBACKS = {
    **dict.fromkeys(
        ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"),
        "IQ4_NL",
    ),
    **dict.fromkeys(("Q2_K", "Q3_K"), "Q4_0"),
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
_KEPT = (
    *("_norm.weight", "ffn_gate_inp.weight", "ssm_conv1d", "shortconv.conv.weight"),
    *("position_embd.weight", "token_types.weight"),
)
_CATEGORIES = (
    ("attn_qkv.weight", "v"),
    ("attn_kv_b.weight", "v"),
    ("attn_v.weight", "v"),
    ("attn_k.weight", "k"),
    ("attn_q.weight", "q"),
    ("attn_output.weight", "attention output"),
    ("ffn_up", "up"),
    ("ffn_gate", "gate"),
    ("ffn_down", "down"),
)
_BELOW_3_BITS = {"IQ2_M", *LOWEST}
# What an eight-expert model's attention output is raised to Q5_K for.
_LOW = {"Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M", "IQ3_M", "IQ4_XS"}


@dataclass(slots=True)
class _State:
    """What the rules look at: the model, and how many tensors of a category came before."""

    quant: str
    layers: int
    experts: int
    gqa: int
    imatrix: bool
    tied: bool
    v_total: int
    seen: dict[str, int] = field(default_factory=dict)


def types_of(
    tensors: Sequence[Named], quant: str, *, layers: int, experts: int, gqa: int, imatrix: bool
) -> Iterator[int]:
    """The type number of every tensor, which come in the order of the file (`sort_key`).

    `layers` is the block count, `experts` 0 for dense models, `gqa` query heads per KV head of the first layer,
    `imatrix` whether the quantization was made with an importance matrix.
    """
    tied = all(name != "output.weight" for name, _ in tensors)
    v_total = sum(_category(name) == "v" for name, _ in tensors)
    state = _State(quant, layers, experts, gqa, imatrix, tied, v_total)
    for name, dims in tensors:
        yield NUMBERS[_type(state, name, dims)]


def sort_key(named: Named) -> tuple[int, str]:
    """The order of llama-quantize: what belongs to no block by name, then block by block."""
    name = named[0]
    return (int(name.split(".")[1]) if name.startswith("blk.") else -1, name)


def _type(state: _State, name: str, dims: Dims) -> str:
    if not _is_quantized(name, dims):
        return "F32"
    default = MIXES[state.quant].default
    if default in ("F16", "BF16"):
        return default
    return _fallback(_mixed(state, name, dims, default), dims)


def _is_quantized(name: str, dims: Dims) -> bool:
    matrix = sum(size > 1 for size in dims[1:]) > 0
    return matrix and name.endswith("weight") and not any(part in name for part in _KEPT)


def _fallback(kind: str, dims: Dims) -> str:
    """A type whose blocks divide a row."""
    for candidate in (kind, _FALLBACKS.get(kind, kind)):
        if dims[0] % TYPES[NUMBERS[candidate]].block == 0:
            return candidate
    return "F16"


def _category(name: str) -> str:
    return next((category for part, category in _CATEGORIES if part in name), "other")


def _mixed(state: _State, name: str, dims: Dims, default: str) -> str:
    if name == "output.weight" or (name == "token_embd.weight" and state.tied):
        return _output(state, dims, default)
    if state.quant == "MXFP4_MOE":
        return "MXFP4" if len(dims) == 3 else "Q8_0"
    if name == "token_embd.weight":
        return _embeddings(state.quant) or default
    category = _category(name)
    index = state.seen.get(category, 0)
    state.seen[category] = index + 1
    if state.experts > 1 and category in ("up", "gate", "down"):
        index = int(name.split(".")[1])
    rule = _lowest if state.quant in _BELOW_3_BITS else _RULES.get(category)
    return (rule(state, category, index) if rule else None) or default


def _output(state: _State, dims: Dims, default: str) -> str:
    if state.quant == "MXFP4_MOE" or default == "Q8_0" or dims[0] % TYPES[NUMBERS[default]].block:
        return "Q8_0"
    return "Q5_K" if state.quant in ("IQ3_XXS", *_BELOW_3_BITS) else "Q6_K"


def _embeddings(quant: str) -> str | None:
    if quant in ("IQ3_XXS", "IQ2_S", "IQ2_M"):
        return "IQ3_S"
    return "Q2_K" if quant in LOWEST else None


def _more_bits(index: int, count: int) -> bool:
    """The first and last eighth, and every third in between."""
    return index < count // 8 or index >= 7 * count // 8 or (index - count // 8) % 3 == 2


def _v(state: _State, category: str, index: int) -> str | None:
    if state.experts == 8:
        return "Q8_0"
    kind = _v_by_quant(state, index)
    seventy_b = state.layers == 80 and state.gqa > 1
    return "Q5_K" if seventy_b and (kind or QUANTS[state.quant].default) in ("Q3_K", "Q4_K") else kind


def _v_by_quant(state: _State, index: int) -> str | None:  # noqa: PLR0911 (one line a quantization)
    grouped = state.gqa >= 4
    match state.quant:
        case "Q2_K":
            return "Q4_K" if grouped else "Q3_K"
        case "IQ3_XXS":
            return "Q4_K" if grouped else None if state.imatrix else "IQ3_S"
        case "IQ3_XS":
            return "Q4_K" if grouped else None
        case "IQ3_M":
            return "Q4_K"
        case "Q3_K_M":
            return "Q5_K" if index < 2 else "Q4_K"
        case "Q3_K_L":
            return "Q5_K"
        case "IQ4_NL" | "IQ4_XS":
            return "Q5_K" if grouped else None
        case "Q4_K_M" | "Q5_K_M":
            return "Q6_K" if _more_bits(index, state.v_total) else None
        case "Q4_K_S":
            return "Q5_K" if index < 4 else None
    return None


def _qk(state: _State, category: str, index: int) -> str | None:
    if category == "k" and state.experts == 8:
        return "Q8_0"
    return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(state.quant)


def _down(state: _State, category: str, index: int) -> str | None:  # noqa: PLR0911 (one line a quantization)
    layers = state.layers
    early = index < layers // 8
    match state.quant:
        case "Q2_K":
            return "Q3_K"
        case "Q3_K_M":
            return "Q5_K" if index < layers // 16 else "Q4_K"
        case "Q3_K_L":
            return "Q5_K"
        case "IQ3_M":
            return "Q4_K" if early or (state.experts == 8 and _more_bits(index, layers)) else None
        case "IQ3_XXS" if not state.imatrix:
            return "Q4_K" if early else "Q3_K"
        case "Q4_K_M" | "Q5_K_M":
            return "Q6_K" if _more_bits(index, layers) else None
        case "Q4_K_S":
            return "Q5_K" if early else None
        case "IQ4_NL" | "IQ4_XS":
            return "Q5_K" if early and not state.imatrix else None
        case "Q4_0":
            return "Q4_1" if early and state.imatrix else None
    return None


def _attention_output(state: _State, category: str, index: int) -> str | None:
    if state.experts == 8:
        return "Q5_K" if state.quant in _LOW else None
    raised = {"Q2_K": "Q3_K", "IQ3_XXS": "IQ3_S", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K", "IQ3_M": "Q4_K"}
    return raised.get(state.quant)


def _up_gate(state: _State, category: str, index: int) -> str | None:
    middle = state.layers // 8 <= index < 7 * state.layers // 8
    return "IQ3_XXS" if state.quant == "IQ3_XS" and middle else None


def _lowest(state: _State, category: str, index: int) -> str | None:
    raised = "IQ3_S" if state.quant in ("IQ2_S", "IQ2_M") else "Q2_K"
    match category:
        case "v":
            return "Q4_K" if state.gqa >= 4 or state.experts >= 4 else raised
        case "k":
            return "Q4_K" if state.experts == 8 else None
        case "down":
            return raised if index < state.layers // 8 else None
        case "attention output":
            return "Q5_K" if state.experts == 8 else _ATTENTION_OUTPUT.get(state.quant)
    return None


_ATTENTION_OUTPUT = {"IQ1_S": "IQ2_XXS", "IQ1_M": "IQ2_XXS", "IQ2_S": "IQ3_S", "IQ2_M": "IQ3_S"}
_RULES = {
    "v": _v,
    "k": _qk,
    "q": _qk,
    "down": _down,
    "up": _up_gate,
    "gate": _up_gate,
    "attention output": _attention_output,
}
