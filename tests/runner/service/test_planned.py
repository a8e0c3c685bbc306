"""What is planned of a study, and what is refused before any plan."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import BadFile, ExitCode
from models.headers.gguf_bytes import STRING
from models.stores.local import offer_for
from runner.hardware.described_group import parse_hardware
from runner.report.contract import plan_json
from runner.report.plan_table import plan_lines
from runner.service.planned import planned
from runner.service.studies import Studies
from runner.storage.paths import paths
from runner.types.plan import Plan
from runner.types.wish import Wish
from scripts.synthetic import headers
from scripts.synthetic.typed import U32, Typed
from tests.support.headers import EMBEDDING, PLAIN
from tests.support.homes import own_home, put

LAPTOP = parse_hardware("cpu,ram=16g@50gbps")


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[None]:
    with own_home(tmp_path / "home"):
        yield


def write(path: Path, arch: str, **extra: Typed) -> None:
    numbers = {f"{arch}.{key}": Typed(U32, value) for key, value in PLAIN.items()}
    kv = {
        "general.architecture": Typed(STRING, arch),
        "tokenizer.ggml.model": Typed(STRING, "gpt2"),
        **numbers,
        **extra,
    }
    content = headers.header_bytes(kv, [EMBEDDING])
    put(path, content + bytes(EMBEDDING.bytes + 64))


def plan_of(path: Path) -> Plan:
    offer = offer_for(str(path))
    assert offer is not None
    study = Studies(paths(), lambda _sentence: None).read(offer, offer.name)
    return planned(study, LAPTOP, Wish(), ())


def known(model: str, folder: Path, machine: str, wish: Wish | None = None) -> Plan:
    """The plan of a file that is named as a model of the catalog is."""
    (path,) = headers.make(model, "Q4_K_M", folder)
    offer = offer_for(str(path))
    assert offer is not None
    study = Studies(paths(), lambda _sentence: None).read(offer, offer.name)
    return planned(study, parse_hardware(machine), wish or Wish(), ())


def test_who_could_guess_ahead_is_said_where_it_would_clearly_help(tmp_path: Path) -> None:
    """By the catalog, of which nothing is read or downloaded; in words, and as data for others."""
    plan = known("llama-3.3-70b", tmp_path, "3x3090,ram=64g")
    assert plan.hint is not None and plan.hint.name == "llama-3.2-1b" and 1.2 <= plan.hint.gain < 2
    said = " ".join(plan_lines(plan))
    brings = f"about {plan.hint.gain:.1f} x as many tokens a second"
    assert f"llama-3.2-1b could guess ahead for it, for {brings}: --draft llama-3.2-1b." in said
    assert plan_json(plan)["hint"] == {"name": "llama-3.2-1b", "gain": plan.hint.gain}
    assert plan.candidates[0].download_bytes == 0


@pytest.mark.parametrize(
    ("model", "machine", "wish"),
    [
        ("llama-3.3-70b", "3x3090,ram=64g", Wish(draft="off")),
        ("llama-3.3-70b", "3x3090,ram=64g", Wish(draft="lookup")),
        ("llama-3.3-70b", "3x3090,ram=64g", Wish(sequences=4)),
        ("llama-3.3-70b", "cpu,ram=16g@50gbps", Wish()),  # which has no room for it
        ("llama-3.1-8b", "cpu,ram=32g@50gbps", Wish()),  # where a further token costs too much
        ("mixtral-8x7b", "3x3090,ram=64g", Wish()),  # for which none is known
    ],
)
def test_who_could_guess_ahead_is_not_said_where_it_was_decided_or_would_not(
    tmp_path: Path, model: str, machine: str, wish: Wish
) -> None:
    plan = known(model, tmp_path, machine, wish)
    assert plan.hint is None and plan_json(plan)["hint"] is None
    assert "could guess ahead" not in " ".join(plan_lines(plan))


@pytest.mark.parametrize(
    ("arch", "extra", "what"),
    [
        ("bert", {}, "an embedding model"),
        ("qwen3", {"qwen3.pooling_type": Typed(U32, 3)}, "an embedding model"),
        ("t5", {}, "an encoder-decoder"),
        ("t5encoder", {}, "an encoder"),
        ("llama", {"tokenizer.ggml.model": Typed(STRING, "none")}, "a model without a vocabulary"),
        ("llama", {"general.type": Typed(STRING, "adapter")}, "a LoRA adapter"),
    ],
)
def test_what_answers_no_prompts_is_refused_in_a_sentence(
    tmp_path: Path, arch: str, extra: dict[str, Typed], what: str
) -> None:
    write(tmp_path / "m-Q8_0.gguf", arch, **extra)
    with pytest.raises(BadFile, match=f"m-Q8_0.gguf is {what}") as raised:
        plan_of(tmp_path / "m-Q8_0.gguf")
    assert raised.value.exit_code is ExitCode.MODEL


def test_of_a_folder_with_a_model_and_what_goes_with_it_the_model_is_planned(tmp_path: Path) -> None:
    write(tmp_path / "m/alpaca-lora-MTP-imatrix-Q8_0.gguf", "llama")
    write(tmp_path / "m/better-F16.gguf", "llama", **{"general.type": Typed(STRING, "mmproj")})
    assert [one.files for one in plan_of(tmp_path / "m").candidates] == [("alpaca-lora-MTP-imatrix-Q8_0.gguf",)]


def test_of_two_models_of_one_shape_one_is_planned_and_both_can_be_named(tmp_path: Path) -> None:
    for name in ("Hermes-Q8_0.gguf", "Llama-Q8_0.gguf"):
        write(tmp_path / "m" / name, "llama")
    assert len(plan_of(tmp_path / "m").candidates) == 1
    for name in ("Hermes-Q8_0.gguf", "Llama-Q8_0.gguf"):
        assert [one.files for one in plan_of(tmp_path / "m" / name).candidates] == [(name,)]
