"""What a tensor is for and which layer it belongs to, by its name. Pure.

Source: LLM_TENSOR_NAMES and LLM_TENSOR_INFOS of llama-arch.cpp, `llama_model_loader::create_tensor`.
"""

import re
from enum import StrEnum
from functools import lru_cache

from models.errors import BadFile


class Role(StrEnum):
    """What a tensor is for."""

    EMBEDDING = "embedding"
    ATTENTION = "attention"
    FFN = "ffn"
    EXPERT = "expert"
    SHARED_EXPERT = "shared expert"
    OUTPUT = "output"
    NORM = "norm"
    OTHER = "other"


_BLOCK = re.compile(r"(?:(?:enc|dec)\.)?(?:blk|convnext|posnet)\.(\d+)(\..+)")
_ROLES = tuple(
    (re.compile(pattern), role)
    for pattern, role in (
        (r"\.ffn_\w+_shexp\b", Role.SHARED_EXPERT),
        (r"\.ffn_(gate|up|down|gate_up)(_(ch)?exps\.|\.[0-9])", Role.EXPERT),
        (r"norm\w*\b|_ln\b", Role.NORM),
        (r"\.(ffn_(gate|up|down)|channel_mix_(key|value|receptance))\.", Role.FFN),
        (r"\.(attn|cross_attn|vis_attn|indexer)[_.]", Role.ATTENTION),
    )
)
_INPUT = ("token_embd.", "position_embd.", "token_types.", "per_layer_token_embd.", "masked_embd_")
# Outside every block, and yet llama.cpp keeps them where the first layer is.
_FIRST_LAYER = (
    "token_embd_norm.",
    "rope_freqs.",
    "rope_factors_",
    "per_layer_model_proj.",
    "per_layer_proj_norm.",
    "hrm.z_l_init",
    "conv1d.",
    "nextn.pre_projection.",
)
_ROPE = ("rope_freqs.", "rope_factors_")
# Loaded by nobody (GGML_OP_NONE).
_UNUSED = re.compile(r"\.cross_attn_rel_b\.|^masked_embd_")


def role_and_layer(name: str, arch: str, layers: int) -> tuple[Role, int | None]:
    """The role and the layer: None for the input, `layers` for the output layer. BadFile for a layer beyond it."""
    if found := _BLOCK.match(name):
        if int(found[1]) >= layers:
            raise BadFile(f"the header names {layers} blocks, and has a tensor of block {found[1]}, counted from 0")
        return _role_in_block(found[2]), int(found[1])
    role = Role.NORM if "norm" in name else Role.OTHER
    if name.startswith("token_embd_norm.") and arch.startswith("lfm2"):
        return role, layers  # is in truth the norm before the output
    if name.startswith(_INPUT):
        return Role.EMBEDDING, None
    if name.startswith(_FIRST_LAYER):
        return role, 0
    return (role if role is Role.NORM else Role.OUTPUT), layers


def is_rope(name: str) -> bool:
    """Whether these are the rope factors, which every device with layers holds for itself."""
    return name.startswith(_ROPE)


def is_never_loaded(name: str) -> bool:
    """Whether llama.cpp knows the tensor but has no use for it."""
    return _UNUSED.search(name) is not None


@lru_cache(maxsize=1024)  # the same few in every layer
def _role_in_block(stem: str) -> Role:
    return next((role for pattern, role in _ROLES if pattern.search(stem)), Role.OTHER)
