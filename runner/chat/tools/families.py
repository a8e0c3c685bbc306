"""Whose notation a chat template speaks. Pure."""

from __future__ import annotations

from runner.chat.tools import (
    deepseek,
    dsml,
    gemma,
    generic,
    glm,
    granite,
    harmony,
    hermes,
    llama,
    mistral,
    qwen,
)
from runner.chat.tools.family import Family

FAMILIES: tuple[Family, ...] = tuple(
    module.FAMILY for module in (harmony, gemma, dsml, deepseek, mistral, glm, qwen, granite, llama, hermes)
)
"""What is told apart by fewer words comes later."""
GENERIC = generic.FAMILY


def family_of(template: str) -> Family:
    """The first family that a chat template shows, else the generic one."""
    return next((family for family in FAMILIES if family.is_in(template)), GENERIC)
