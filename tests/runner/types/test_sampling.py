"""Sampling settings as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import UsageError
from models.headers.recommended import Recommended
from runner.types.numbers import parse_number
from runner.types.sampling import (
    SETTINGS,
    Chain,
    Sampling,
    Setting,
    in_force,
    resolved,
    with_setting,
    with_settings,
)


@pytest.mark.parametrize(
    ("name", "text", "changed"),
    [
        ("temp", "0", Sampling(temperature=0.0)),
        ("top-k", "3", Sampling(top_k=3)),
        ("top_k", "3", Sampling(top_k=3)),
        ("seed", "4294967295", Sampling(seed=2**32 - 1)),
        ("seed", "off", Sampling()),
        ("temp", "off", Sampling()),
        ("max-tokens", "off", Sampling()),
    ],
)
def test_one_setting(name: str, text: str, changed: Sampling) -> None:
    assert with_setting(Sampling(), name, text) == changed


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_both_bounds_are_inside_and_what_is_beyond_is_not(setting: Setting) -> None:
    for bound, beyond in ((setting.low, setting.low - 1), (setting.high, setting.high + 1)):
        assert setting.read(f"{setting.kind(bound)}") == bound
        with pytest.raises(UsageError, match="out of range"):
            setting.read(f"{setting.kind(beyond)}")
    assert setting.low <= getattr(Chain(), setting.field, setting.low) <= setting.high


def test_settings_of_a_json_object() -> None:
    base = Sampling(seed=5, stop=("x",))
    assert with_settings(base, {}) == base
    assert with_settings(base, {"temp": 0.5, "seed": None}) == Sampling(temperature=0.5, seed=5, stop=("x",))
    assert with_settings(base, {"stop": "END"}).stop == ("END",)
    assert with_settings(base, {"stop": ["END", "FIN"]}).stop == ("END", "FIN")


def test_a_bias_is_a_number_for_each_token() -> None:
    assert with_settings(Sampling(), {"logit_bias": {"7": -100, "3": 2.5}}).logit_bias == ((3, 2.5), (7, -100.0))
    for wrong in ([1], {"x": 1}, {"1": "much"}, {"1": 101}, {"-1": 1}):
        with pytest.raises(UsageError, match=r"^logit_bias: "):
            with_settings(Sampling(), {"logit_bias": wrong})


@pytest.mark.parametrize("value", [3, {"a": 1}, ["x", 1], True])
def test_stop_is_text(value: object) -> None:
    with pytest.raises(UsageError, match="a text or a list of texts"):
        with_settings(Sampling(), {"stop": value})


@given(st.text(), st.sampled_from([int, float]))
def test_a_number_is_finite_and_inside_its_bounds_or_one_sentence(text: str, kind: type[int] | type[float]) -> None:
    try:
        value = parse_number(text, kind, 0)
    except UsageError as error:
        assert "number" in str(error) or "out of range" in str(error)
    else:
        assert value >= 0 and math.isfinite(value)


def test_what_nobody_asked_for_is_llama_cpps_own() -> None:
    assert Sampling().chain == Chain(0.8, 40, 0.95, 0.05, 1.0)
    assert Sampling(temperature=0, top_k=5).chain == Chain(temperature=0, top_k=5)


OWN = (Recommended("temp", 0.3, "model"), Recommended("top_k", 20, "Qwen3", "https://example.org"))


@pytest.mark.parametrize(
    ("asked", "recommended", "temp", "top_k"),
    [
        (Sampling(), (), (0.8, "default"), (40, "default")),
        (Sampling(), OWN, (0.3, "model"), (20, "Qwen3")),
        (Sampling(temperature=0.0), OWN, (0.0, "asked"), (20, "Qwen3")),
        (Sampling(temperature=0.8, top_k=40), OWN, (0.8, "asked"), (40, "asked")),
        (Sampling(), [Recommended("temp", -1, "model")], (0.0, "model"), (40, "default")),
        (Sampling(), [Recommended("top_k", -1, "model")], (0.8, "default"), (0, "model")),
        (Sampling(), [Recommended("top_k", 1e9, "model")], (0.8, "default"), (1_000_000, "model")),
        (Sampling(), [Recommended("top_k", 20.0, "model")], (0.8, "default"), (20, "model")),
    ],
)
def test_what_is_in_force_and_whence(
    asked: Sampling, recommended: list[Recommended], temp: tuple[float, str], top_k: tuple[int, str]
) -> None:
    found = {one.setting.key: (one.value, one.source) for one in in_force(asked, recommended)}
    assert (found["temp"], found["top_k"]) == (temp, top_k)
    assert str(found["top_k"][0]) == str(top_k[0])  # a whole number
    filled = resolved(asked, recommended)
    assert (filled.temperature, filled.top_k) == (temp[0], top_k[0])
    assert (filled.min_p, filled.seed, filled.max_tokens) == (0.05, None, None)


def test_off_gives_a_setting_back_to_the_models_maker() -> None:
    chosen = with_setting(Sampling(), "temp", "1.5")
    assert resolved(chosen, OWN).temperature == 1.5
    assert resolved(with_setting(chosen, "temp", "off"), OWN).temperature == 0.3
