"""What is recommended for sampling from each family of models, and the page that says so. Pure data.

A family is in the table where its maker's card and the publisher of most GGUF files agree, or where only one speaks.
Models that think when nothing is said have the settings for thinking. Presence penalties, which some cards add, are
not offered here. The cards of Qwen 3.5 and later and of Qwen3 Coder Next were read as others quote them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# The publisher of most GGUF files keeps one table for its own program.
UNSLOTH = (
    "https://github.com/unslothai/unsloth/blob/1f5de49411d068ec6d46578f5dc8da4e7805871b/"
    "studio/backend/assets/configs/inference_defaults.json"
)
READ = "2026-11-26"
"""The day on which the pages were read."""


@dataclass(frozen=True, slots=True)
class Family:
    """A row: `settings` for models of one of the architectures one of whose names has `words`."""

    name: str
    architectures: frozenset[str]
    words: re.Pattern[str]
    settings: Mapping[str, float]
    page: str


def _family(name: str, architectures: str, words: str, settings: tuple[float, ...], page: str = UNSLOTH) -> Family:
    """`settings`: temperature, top-p, top-k, min-p, repeat penalty, as many as are recommended."""
    keys = ("temp", "top_p", "top_k", "min_p", "repeat_penalty")
    values = dict(zip(keys, settings, strict=False))
    return Family(name, frozenset(architectures.split()), re.compile(words), values, page)


_QWEN3 = "qwen3 qwen3moe qwen3next qwen3vl qwen3vlmoe"

# The first that matches counts: the narrower before the wider.
FAMILIES = (
    _family("DeepSeek R1", "deepseek2 qwen2 qwen3 llama", r"deepseek-r1", (0.6, 0.95, 0, 0.01, 1.0)),
    _family("DeepSeek V3", "deepseek2 deepseek32", r"deepseek-v3", (0.6, 0.95, 0, 0.01, 1.0)),
    _family("DeepSeek V4", "deepseek4", "", (1.0, 1.0, 0, 0.0, 1.0)),
    _family(
        "Qwen 3.5 to 3.8",
        "qwen35 qwen35moe qwen4exp",
        "",
        (1.0, 0.95, 20, 0.0, 1.0),
        "https://huggingface.co/Qwen/Qwen3.6-27B",
    ),
    _family("Qwen3 Coder Next", "qwen3next", "coder", (1.0, 0.95, 40), "https://huggingface.co/Qwen/Qwen3-Coder-Next"),
    _family("Qwen3 Coder", "qwen3moe", "coder", (0.7, 0.8, 20, 0.0, 1.0)),
    _family("Qwen3 Instruct", _QWEN3, "instruct", (0.7, 0.8, 20, 0.0, 1.0)),
    _family(
        "Qwen3-VL Thinking",
        "qwen3vl qwen3vlmoe",
        "",
        (1.0, 0.95, 20),
        "https://unsloth.ai/docs/models/tutorials/qwen3-how-to-run-and-fine-tune/qwen3-vl-how-to-run-and-fine-tune",
    ),
    _family("Qwen3", _QWEN3, "", (0.6, 0.95, 20, 0.0, 1.0)),
    _family("QwQ", "qwen2", "qwq", (0.6, 0.95, 40, 0.0, 1.0)),
    _family("Qwen2.5", "qwen2", r"qwen-?2\.5(?!-(coder|vl))", (0.7, 0.8, 20, 0.0, 1.0)),
    _family("Gemma", "gemma3 gemma3n gemma4", "", (1.0, 0.95, 64, 0.0, 1.0)),
    _family("Muse Glimmer", "muse-glimmer", "", (1.0, 0.95, 64, 0.0, 1.0)),
    _family("gpt-oss", "gpt-oss", "", (1.0, 1.0, 0, 0.01, 1.0)),
    _family(
        "GLM",
        "glm4moe deepseek2",
        r"glm-4\.7",
        (1.0, 0.95, 0, 0.01, 1.0),
        "https://unsloth.ai/docs/jp/moderu/tutorials/glm-4.7-flash",
    ),
    _family("GLM", "glm4 glm4moe glm-dsa glm5-next", "", (1.0, 0.95, 0, 0.01, 1.0)),
    _family("Magistral", "llama mistral3", "magistral", (0.7, 0.95, 0, 0.01, 1.0)),
    _family("Ministral 3", "mistral3", "ministral", (0.15, 0.95, 0, 0.01, 1.0)),
    _family("Mistral Small", "llama mistral3", "mistral-small", (0.15, 0.95, 0, 0.01, 1.0)),
    _family("Nemotron", "nemotron_h nemotron_h_moe", "", (1.0, 1.0, 0, 0.01, 1.0)),
    _family("MiniMax", "minimax-m2 minimax-m3", "", (1.0, 0.95, 40, 0.01, 1.0)),
    _family("Granite 4", "granite granitemoe granitehybrid", r"granite-4", (0.0, 1.0, 0, 0.01, 1.0)),
    _family("Kimi K2", "deepseek2", r"kimi-k2(?!.*thinking)", (0.6, 0.95, 0, 0.01, 1.0)),
    _family("Kimi K3", "kimi-k3", "", (1.0, 0.95, 0, 0.0, 1.0)),
    _family("Phi-4 reasoning", "phi3", r"phi-4.*reasoning", (0.8, 0.95, 0, 0.0, 1.0)),
)
