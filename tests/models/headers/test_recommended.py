"""What is recommended for a model's sampling: its header's word, else its family's."""

import math
import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.headers.architectures import KNOWN
from models.headers.families import FAMILIES, READ, Family
from models.headers.gguf import Array, Value
from models.headers.gguf_bytes import UINT32
from models.headers.recommended import family_of, recommended, unsupported

FLOAT32_06 = 0.6000000238418579


def found(kv: dict[str, Value], *called: str) -> dict[str, tuple[float, str]]:
    return {one.setting: (one.value, one.source) for one in recommended(kv, called)}


def test_the_header_is_taken_at_its_word() -> None:
    kv: dict[str, Value] = {
        "general.architecture": "llama",
        "general.sampling.temp": FLOAT32_06,
        "general.sampling.top_k": 0,
        "general.sampling.penalty_repeat": 1.0499999523162842,
    }
    assert found(kv) == {"temp": (0.6, "model"), "top_k": (0, "model"), "repeat_penalty": (1.05, "model")}


def test_the_header_beats_the_family_setting_by_setting() -> None:
    kv: dict[str, Value] = {"general.architecture": "gemma3", "general.sampling.temp": 0.0}
    told = found(kv)
    assert told["temp"] == (0.0, "model")
    assert told["top_k"] == (64, "Gemma")


@pytest.mark.parametrize("value", [math.nan, math.inf, True, "hot", Array(UINT32, 1, 0, 4, (1,))])
def test_what_is_no_number_is_no_recommendation(value: Value) -> None:
    assert found({"general.architecture": "llama", "general.sampling.temp": value}) == {}


def test_settings_that_nobody_applies_are_named() -> None:
    kv: dict[str, Value] = {"general.sampling.mirostat": 1, "general.sampling.temp": 1.0, "general.name": "x"}
    assert unsupported(kv) == ("mirostat",)


@pytest.mark.parametrize(
    ("arch", "name", "file", "family"),
    [
        ("qwen3", "Qwen3 4B", "Qwen3-4B-Q4_K_M.gguf", "Qwen3"),
        ("qwen3", "Qwen3 4B Instruct 2507", "x.gguf", "Qwen3 Instruct"),
        ("qwen3", "model", "Qwen3-4B-Instruct-2507-Q4_K_M.gguf", "Qwen3 Instruct"),
        ("qwen3moe", "Qwen3 30B A3B Thinking 2507", "", "Qwen3"),
        ("qwen3moe", "Qwen3 Coder 30B A3B Instruct", "", "Qwen3 Coder"),
        ("qwen3next", "Qwen3 Coder Next", "", "Qwen3 Coder Next"),
        ("qwen3vl", "Qwen3 VL 8B Thinking", "", "Qwen3-VL Thinking"),
        ("qwen3vl", "Qwen3 VL 8B Instruct", "", "Qwen3 Instruct"),
        ("qwen35moe", "Qwen3.6 35B A3B", "", "Qwen 3.5 to 3.8"),
        ("qwen3", "DeepSeek R1 0528 Qwen3 8B", "", "DeepSeek R1"),
        ("qwen2", "DeepSeek R1 Distill Qwen 7B", "", "DeepSeek R1"),
        ("qwen2", "Qwen2.5 7B Instruct", "", "Qwen2.5"),
        ("qwen2", "Qwen2.5 Coder 32B Instruct", "", None),
        ("qwen2", "Somebody's 7B", "", None),
        ("deepseek2", "GLM-4.7-Flash", "", "GLM"),
        ("deepseek2", "Kimi K2 Instruct 0905", "", "Kimi K2"),
        ("deepseek2", "Kimi K2 Thinking", "", None),
        ("gpt-oss", "Gpt Oss 20b", "", "gpt-oss"),
        ("llama", "Mistral Small 3.2 24B Instruct 2506", "", "Mistral Small"),
        ("llama", "Magistral Small 2509", "", "Magistral"),
        ("llama", "Llama 3.3 70B Instruct", "", None),
        ("granitehybrid", "Granite 4.0 H Tiny", "", "Granite 4"),
        ("granite", "Granite 3.3 8B Instruct", "", None),
        (None, "Qwen3 4B", "", None),
    ],
)
def test_which_family_a_model_belongs_to(arch: str | None, name: str, file: str, family: str | None) -> None:
    one = family_of({"general.name": name, **({"general.architecture": arch} if arch else {})}, [file])
    assert (one.name if one else None) == family


@pytest.mark.parametrize("family", FAMILIES, ids=lambda one: one.name)
def test_every_family_is_of_architectures_that_there_are_and_has_a_page(family: Family) -> None:
    assert family.architectures and family.architectures <= KNOWN
    assert re.fullmatch(r"https://\S+", family.page)
    assert 0 <= family.settings["temp"] <= 2 and 0 < family.settings["top_p"] <= 1
    assert all(0 <= value <= 100 for value in family.settings.values())


def test_the_day_of_reading_is_one() -> None:
    assert date.fromisoformat(READ) >= date(2026, 11, 26)


@given(st.dictionaries(st.sampled_from(["temp", "top_k", "min_p"]), st.floats() | st.integers(-3, 2**40)))
def test_any_header_gives_finite_numbers(values: dict[str, float | int]) -> None:
    kv: dict[str, Value] = {f"general.sampling.{key}": value for key, value in values.items()}
    assert all(math.isfinite(one.value) for one in recommended(kv))
