"""Files of Ollama's that llama.cpp refuses: a sentence with a way round, before any plan."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import BadFile
from models.stores.local import offer_for
from runner.service.studies import Studies
from runner.service.uses import checked
from runner.storage.paths import paths
from runner.types.study import Study
from runner.types.wish import Wish
from scripts.synthetic.headers import Entry, write
from scripts.synthetic.mixes import NUMBERS
from scripts.synthetic.typed import typed
from tests.support.headers import EMBEDDING, PLAIN
from tests.support.homes import own_home

PROJECTOR = Entry("v.patch_embd.weight", (256, 256), NUMBERS["F16"])


def study_of_ollama(folder: Path, arch: str) -> Study:
    """What Ollama would have as gemma3:4b: an embedding table, and a projector's tensor."""
    keys = {"general.architecture": typed(arch)} | {f"{arch}.{key}": typed(value) for key, value in PLAIN.items()}
    offer = offer_for(str(write(folder / "gemma3.gguf", keys, [EMBEDDING, PROJECTOR])))
    assert offer is not None
    with own_home(folder / "home"):
        return Studies(paths(), print).read(
            replace(offer, name="ollama:gemma3:4b", origin="ollama"), "ollama:gemma3:4b"
        )


def test_a_model_and_its_projector_in_one_file(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"is a model and its projector in one file.*does: localrun gemma-3-4b$"):
        checked(study_of_ollama(tmp_path, "gemma3"), Wish())


def test_an_architecture_that_only_ollama_calls_so(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"^ollama:gemma3:4b: this llama.cpp .*'qwen25vl'.*does: localrun gemma-3-4b$"):
        study_of_ollama(tmp_path, "qwen25vl")
