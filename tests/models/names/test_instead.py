"""What to run where the file that is here cannot be loaded."""

import pytest

from models.names.instead import loadable


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("ollama:gemma3:4b", "localrun gemma-3-4b"),
        ("ollama:gpt-oss:latest", "localrun gpt-oss-20b"),
        ("ollama:qwen2.5vl:7b", "localrun search qwen2.5vl 7b"),
        ("ollama:hf.co/someone/LLaVA-X-GGUF:Q4_K_M", "localrun search LLaVA X GGUF Q4_K_M"),
        ("/models/llava-v1.6.gguf", "localrun search llava v1.6"),
    ],
)
def test_the_catalog_has_it_or_the_hub_is_searched(name: str, command: str) -> None:
    assert loadable(name) == f"One that it does: {command}"
