"""From what a person types to what it leads to: stores in a home of one's own, and a Hub on the loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import DownloadError, LocalrunError, ModelNotFound
from models.names.resolve import Query, resolve, split_quant
from tests.support.homes import cached, own_home, put
from tests.support.hub import Hub

CATALOG_REPO = "bartowski/Llama-3.2-1B-Instruct-GGUF"


def add(hub: Hub, repo: str, *names: str, **settings: object) -> None:
    for name in names:
        put(hub.store.root / repo / name, f"{repo} {name}".encode())
    put(hub.store.root / repo / ".hub.json", json.dumps(settings).encode())


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    (tmp_path / "root").mkdir()
    with Hub(tmp_path / "root") as hub:
        add(hub, "org/tiny-GGUF", "tiny-Q4_0.gguf", "tiny-Q8_0.gguf", "README.md", license="mit")
        yield hub


@pytest.fixture
def home(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where commands are typed too."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with own_home(folder, hub.endpoint):
        yield folder


@pytest.fixture
def offline(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return home


def found(name: str, *, wide: bool = False, quant: str | None = None) -> tuple[str, dict[str, bool]]:
    """The origin, and whether each quantization is here."""
    offer = resolve(name, Query(wide, quant))
    return offer.origin, {one.quant: one.is_here for one in offer.sets}


@pytest.mark.parametrize(
    ("typed", "name", "quant"),
    [
        ("org/repo:Q4_K_M", "org/repo", "Q4_K_M"),
        ("org/repo", "org/repo", None),
        ("llama-3.3-70b:IQ2_M", "llama-3.3-70b", "IQ2_M"),
        ("llama-3.3:70b", "llama-3.3:70b", None),  # a colon is a separator of catalog names
        ("ollama:llama3.3:70b", "ollama:llama3.3:70b", None),
        ("a:b:c", "a:b:c", None),
        ("org/repo:Hermes-3-Q4_0.gguf", "org/repo", "Hermes-3-Q4_0.gguf"),
        ("org/repo:deep/Hermes-3-Q4_0.gguf", "org/repo", "deep/Hermes-3-Q4_0.gguf"),
        ("https://hub.example/org/repo", "https://hub.example/org/repo", None),
        ("hf.co/org/repo:Q4_K_M", "org/repo", "Q4_K_M"),
        ("HuggingFace.co/org/repo", "org/repo", None),
        ("https://huggingface.co/org/repo/", "org/repo", None),
        ("https://huggingface.co/org/repo/tree/main", "org/repo", None),
        ("https://huggingface.co/org/repo/tree/main/Q8_0/", "org/repo", "Q8_0"),
        ("https://huggingface.co/org/repo?show_file_info=a.gguf", "org/repo", None),
        ("https://huggingface.co/org/repo/blob/main/deep/a-Q4_0.gguf", "org/repo", "deep/a-Q4_0.gguf"),
        ("https://huggingface.co/org/repo/resolve/main/a-Q4_0.gguf?download=true", "org/repo", "a-Q4_0.gguf"),
        ("https://huggingface.co/org/repo/discussions/1", "https://huggingface.co/org/repo/discussions/1", None),
        (":Q4_0", ":Q4_0", None),
        ("", "", None),
    ],
)
def test_a_quantization_in_the_name(typed: str, name: str, quant: str | None) -> None:
    assert split_quant(typed) == (name, quant)


def test_a_repository_as_the_hub_lists_it(home: Path) -> None:
    assert found("org/tiny-GGUF") == ("hub", {"Q8_0": False, "Q4_0": False})
    assert found("org/tiny-GGUF:q8_0") == ("hub", {"Q8_0": False})
    assert resolve("org/tiny-GGUF").licence == "mit"
    assert found("hf.co/org/tiny-GGUF:Q8_0") == ("hub", {"Q8_0": False})
    assert found("https://huggingface.co/org/tiny-GGUF/blob/main/tiny-Q4_0.gguf") == ("hub", {"Q4_0": False})
    with pytest.raises(ModelNotFound, match="has no Q2_K; it has Q4_0, Q8_0"):
        resolve("org/tiny-GGUF:Q2_K")


def test_one_of_several_models_of_a_repository_by_its_file(home: Path, hub: Hub) -> None:
    add(hub, "org/many-GGUF", "Hermes-Q4_0.gguf", "Llama-Q4_0.gguf", "deep/Llama-Q8_0.gguf")

    def files(name: str) -> list[str]:
        return [one.files[0].name for one in resolve(name).sets]

    assert files("org/many-GGUF:Hermes-Q4_0.gguf") == files("org/many-GGUF:hermes-q4_0") == ["Hermes-Q4_0.gguf"]
    assert files("org/many-GGUF:deep/Llama-Q8_0.gguf") == ["deep/Llama-Q8_0.gguf"]
    assert sorted(files("org/many-GGUF:Q4_0")) == ["Hermes-Q4_0.gguf", "Llama-Q4_0.gguf"]
    with pytest.raises(ModelNotFound, match=r"it has Q8_0, (Hermes|Llama)-Q4_0\.gguf, "):
        resolve("org/many-GGUF:Mistral-Q4_0.gguf")
    cached(home / "hub", "org/many-GGUF", {"Hermes-Q4_0.gguf": b"mine"})
    assert resolve("org/many-GGUF:Hermes-Q4_0.gguf").origin == "huggingface"
    assert len(resolve("org/many-GGUF", Query(wide=True)).sets) == 3  # one of them is here


def test_what_is_here_is_enough_until_more_is_asked(home: Path, hub: Hub) -> None:
    cached(home / "hub", "org/tiny-GGUF", {"tiny-Q4_0.gguf": b"mine"})
    assert found("org/tiny-GGUF") == ("huggingface", {"Q4_0": True})
    assert not hub.requests
    assert found("org/tiny-GGUF", wide=True) == ("hub", {"Q4_0": True, "Q8_0": False})
    assert found("org/tiny-GGUF:Q8_0") == ("hub", {"Q8_0": False})
    assert found("org/tiny-GGUF", quant="q4_0") == ("huggingface", {"Q4_0": True})


def test_without_the_hub_what_is_here_counts(offline: Path) -> None:
    cached(offline / "hub", "org/tiny-GGUF", {"tiny-Q4_0.gguf": b"mine"})
    offer = resolve("org/tiny-GGUF", Query(wide=True))
    assert [one.quant for one in offer.sets] == ["Q4_0"]
    assert offer.notes[0].startswith("Only what is here was looked at: ")
    with pytest.raises(DownloadError):
        resolve("org/other-GGUF")


def test_a_folder_of_weights_hides_the_hub_and_another_does_not(home: Path) -> None:
    (home / "org" / "tiny-GGUF").mkdir(parents=True)
    assert found("org/tiny-GGUF")[0] == "hub"
    put(home / "org" / "tiny-GGUF" / "x-Q6_K.gguf", b"x")
    assert found("org/tiny-GGUF") == ("folder", {"Q6_K": True})


@pytest.mark.parametrize("name", ["./m", "m/x-Q4_0.gguf", "~/m", "m"])
def test_paths(home: Path, name: str) -> None:
    put(home / "m" / "x-Q4_0.gguf", b"x")
    assert found(name)[1] == {"Q4_0": True}


def test_a_catalog_name_is_never_a_folder(home: Path) -> None:
    put(home / "smollm2-135m" / "x-Q6_K.gguf", b"x")
    assert found("smollm2-135m") == ("package", {"Q4_1": True})
    assert found("./smollm2-135m") == ("folder", {"Q6_K": True})


def test_what_list_shows_can_be_typed(home: Path) -> None:
    put(home / ".cache" / "llama.cpp" / "some-model-Q5_0.gguf", b"x")
    put(home / ".lmstudio" / "models" / "org" / "tiny-GGUF" / "tiny-Q8_0.gguf", b"x")
    assert found("some-model") == ("llama.cpp", {"Q5_0": True})
    assert found("Some-Model:Q5_0") == ("llama.cpp", {"Q5_0": True})
    assert found("SmolLM2-135M-Instruct") == ("package", {"Q4_1": True})
    assert found("org/tiny-GGUF") == ("lmstudio", {"Q8_0": True})
    assert found("org/tiny-GGUF", wide=True) == ("hub", {"Q8_0": True, "Q4_0": False})


def test_another_programs_copy_serves_the_catalog_where_it_is_the_same_repository(home: Path, hub: Hub) -> None:
    put(home / ".lmstudio" / "models" / CATALOG_REPO / "Llama-3.2-1B-Instruct-Q4_0.gguf", b"x")
    assert found("llama-3.2-1b") == ("lmstudio", {"Q4_0": True})
    assert resolve("llama-3.2-1b").name == "llama-3.2-1b"
    assert not hub.requests


def test_a_missing_repository_falls_through_to_the_next_and_then_to_a_search(home: Path, hub: Hub) -> None:
    told: list[str] = []
    add(hub, "ggml-org/Qwen3-4B-GGUF", "Qwen3-4B-Q4_K_M.gguf")
    offer = resolve("qwen3-4b", Query(note=told.append))
    assert (offer.name, offer.sets[0].files[0].repo) == ("qwen3-4b", "ggml-org/Qwen3-4B-GGUF")
    assert told == ["Qwen/Qwen3-4B-GGUF is not on the Hub any more."]

    add(hub, "somebody/Llama-3.2-1B-Instruct-GGUF", "a-Q4_0.gguf", downloads=7)
    add(hub, "nobody/Llama-3.2-1B-Instruct-GGUF", "b-Q4_0.gguf", downloads=3)
    offer = resolve("llama-3.2-1b", Query(note=told.append))
    assert offer.sets[0].files[0].repo == "somebody/Llama-3.2-1B-Instruct-GGUF"
    assert "Taking somebody/Llama-3.2-1B-Instruct-GGUF instead" in told[-1]
    with pytest.raises(ModelNotFound, match=r"no GGUF repository of Phi-4"):
        resolve("phi-4")


def test_what_a_search_gave_is_found_again_without_the_hub(offline: Path) -> None:
    cached(offline / "hub", "somebody/Llama-3.2-1B-Instruct-GGUF", {"a-Q4_0.gguf": b"x"})
    cached(offline / "hub", "somebody/Llama-3.2-1B-Poems-GGUF", {"b-Q8_0.gguf": b"x"})
    assert found("llama-3.2-1b") == ("huggingface", {"Q4_0": True})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("llama-3.3-7b", "near it are llama-3.3-70b"),
        ("qqqq", "localrun list shows"),
        ("org/llama-3.3-70b-GGUF", "no repository org/llama-3.3-70b-GGUF on the Hub.* Near it are llama-3.3-70b"),
        ("./nothing", "nothing"),
        ("nothing.gguf", "There is no file"),
        ("ollama:nothing", "Ollama has no"),
        ("", "There is no model ''"),
        ("a" * 5000, "There is no model"),
    ],
)
def test_unknown_names(home: Path, name: str, words: str) -> None:
    with pytest.raises(ModelNotFound, match=words):
        resolve(name)


def test_a_repository_without_weights(home: Path, hub: Hub) -> None:
    add(hub, "org/full", "model.safetensors")
    with pytest.raises(ModelNotFound, match="org/full has no GGUF weights"):
        resolve("org/full")


def test_an_unknown_bare_name_needs_no_hub(offline: Path) -> None:
    with pytest.raises(LocalrunError) as raised:
        resolve("no-such-model")
    assert raised.type is ModelNotFound


def test_unlabelled_sets_stay_for_their_headers_to_say(home: Path) -> None:
    put(home / "m" / "strange.gguf", b"x")
    put(home / "m" / "x-Q4_0.gguf", b"xx")
    cached(home / "hub", "org/odd-GGUF", {"strange.gguf": b"x", "x-Q4_0.gguf": b"xx"})
    assert found("org/odd-GGUF:Q8_0") == ("huggingface", {"": True})
    assert found("org/odd-GGUF:Q4_0") == ("huggingface", {"": True, "Q4_0": True})
