"""Which tensors llama.cpp's split mode `tensor` divides among devices; of all others each device has a copy. Pure.

Source: llama-model.cpp, llama_meta_device_get_split_state (axes 0 to 2 divide, MIRRORED and PARTIAL copy).
"""

import re

from models.headers.architectures import COPIED_WHOLE

_DIVIDED = re.compile(
    r"""
    blk\.\d+\.(
        attn_(q|k|v|qkv)\.(weight|bias) | attn_(output|gate|sinks)\.weight
        | ssm_dt\.bias | ssm_a | ssm_(alpha|beta|ba|conv1d|out)\.weight
        | ffn_(up|gate|gate_up|down)(_exps)?\.weight | ffn_(up|gate)(_exps)?\.bias
    )
    | output\.(weight|bias)
    """,
    re.VERBOSE,
)
_DIVIDED_BY_DEEPSEEK4 = re.compile(r"blk\.\d+\.(attn_(q_b|output_a|output_b)|ffn_(up|gate|down)_shexp)\.weight")


def is_divided(name: str, arch: str) -> bool:
    """Whether every device holds only its share of the tensor `name`."""
    if arch in COPIED_WHOLE:
        return False
    if arch == "deepseek4" and (name.startswith("output.") or _DIVIDED_BY_DEEPSEEK4.fullmatch(name)):
        return not name.startswith("output.")
    return _DIVIDED.fullmatch(name) is not None
