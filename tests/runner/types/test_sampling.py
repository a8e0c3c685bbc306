"""Sampling settings as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import UsageError
from runner.types.numbers import parse_number
from runner.types.sampling import SETTINGS, Sampling, Setting, with_setting, with_settings


@pytest.mark.parametrize(
    ("name", "text", "changed"),
    [
        ("temp", "0", Sampling(temperature=0.0)),
        ("top-k", "3", Sampling(top_k=3)),
        ("top_k", "3", Sampling(top_k=3)),
        ("seed", "4294967295", Sampling(seed=2**32 - 1)),
        ("seed", "off", Sampling()),
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
    assert setting.low <= (getattr(Sampling(), setting.field) or setting.low) <= setting.high


def test_settings_of_a_json_object() -> None:
    base = Sampling(seed=5, stop=("x",))
    assert with_settings(base, {}) == base
    assert with_settings(base, {"temp": 0.5, "seed": None}) == Sampling(temperature=0.5, seed=5, stop=("x",))
    assert with_settings(base, {"stop": "END"}).stop == ("END",)
    assert with_settings(base, {"stop": ["END", "FIN"]}).stop == ("END", "FIN")


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
