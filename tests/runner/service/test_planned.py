"""What is planned of a study, and what is refused before any plan."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import BadFile, ExitCode
from models.headers.gguf_bytes import STRING
from models.stores.local import offer_for
from runner.hardware.described_group import parse_hardware
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
