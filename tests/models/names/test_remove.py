"""What may be removed and what that frees, on real folders."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import ModelNotFound
from models.names.remove import removal, remove
from tests.support.homes import cached, own_home, put

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    with own_home(tmp_path) as hub:
        yield hub


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if not path.is_dir()}


def test_one_quantization_goes_from_all_snapshots(hub: Path) -> None:
    folder = cached(hub, "org/m-GGUF", {"m-Q4_0.gguf": b"x" * 100, "m-Q8_0.gguf": b"y" * 200}, OLD)
    cached(hub, "org/m-GGUF", {"m-Q4_0.gguf": b"x" * 100}, NEW)
    part = put(folder / "blobs" / "c.localrun.part", b"half")
    for name in ("org/m-GGUF:q4_0", "org/m-GGUF:Q4_0"):
        assert removal(name).bytes == 100
    assert remove(removal("org/m-GGUF", "Q4_0")) == 100
    assert files(folder / "snapshots") == {"m-Q8_0.gguf"}
    assert part.exists()
    assert not (folder / "snapshots" / NEW).exists()


def test_a_whole_model_goes_with_what_downloads_have_left(hub: Path) -> None:
    folder = cached(hub, "org/m-GGUF", {"m-Q4_0.gguf": b"x" * 100})
    put(folder / "blobs" / "c.localrun.part", b"1234")
    put(folder / "blobs" / "d.localrun.aside" / "deep" / "file", b"12345")
    doomed = removal("org/m-GGUF")
    assert doomed.bytes == 109
    assert remove(doomed) == 109
    assert not folder.exists()


def test_parts_alone_can_go(hub: Path) -> None:
    part = put(hub / "models--org--m-GGUF" / "blobs" / "c.localrun.part", b"1234")
    assert remove(removal("org/m-GGUF")) == 4
    assert not part.exists()


def test_what_others_put_into_the_repository_stays(hub: Path) -> None:
    folder = cached(hub, "org/m-GGUF", {"m-Q4_0.gguf": b"x", "config.json": b"{}"})
    theirs = put(folder / "blobs" / "c.1234abcd.incomplete", b"of huggingface-hub")
    remove(removal("org/m-GGUF"))
    assert files(folder / "snapshots") == {"config.json"}
    assert theirs.exists() and (folder / "refs" / "main").exists()


def test_two_names_of_one_blob_count_once(hub: Path) -> None:
    cached(hub, "org/m-GGUF", {"m-Q4_0.gguf": b"same" * 10, "n-Q4_0.gguf": b"same" * 10})
    assert remove(removal("org/m-GGUF")) == 40


def test_a_link_to_somebodys_own_file_loses_only_the_link(hub: Path, tmp_path: Path) -> None:
    folder = cached(hub, "org/m-GGUF", {"m-Q4_0.gguf": b"x"})
    own = put(tmp_path / "mine" / "big.gguf", b"precious")
    (folder / "snapshots" / OLD / "big-Q8_0.gguf").symlink_to(own)
    assert remove(removal("org/m-GGUF")) == 1
    assert own.read_bytes() == b"precious" and not folder.exists()


def test_a_cache_without_links(hub: Path) -> None:
    file = put(hub / "models--org--m-GGUF" / "snapshots" / OLD / "m-Q4_0.gguf", b"x" * 7)
    assert remove(removal("org/m-GGUF")) == 7
    assert not file.exists()


def test_a_catalog_name_means_its_repositories(hub: Path) -> None:
    cached(hub, "ggml-org/Qwen3-4B-GGUF", {"Qwen3-4B-Q4_0.gguf": b"x" * 10})
    cached(hub, "Qwen/Qwen3-4B-GGUF", {"Qwen3-4B-Q8_0.gguf": b"y" * 20})
    other = cached(hub, "org/m-GGUF", {"m-Q4_0.gguf": b"z"})
    assert removal("qwen3-4b:Q8_0").bytes == 20
    assert remove(removal("qwen3-4b")) == 30
    assert files(other / "snapshots") == {"m-Q4_0.gguf"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("org/nothing-GGUF", "There are no downloaded weights of org/nothing-GGUF"),
        ("org/m-GGUF:Q8_0", "org/m-GGUF is here, but not as Q8_0; it has Q4_0"),
        ("smollm2-135m", "belongs to a Python package"),
        ("some-model", "belongs to llama.cpp"),
        ("org/theirs-GGUF", "belongs to lmstudio"),
        ("../../etc", "There are no downloaded weights"),
        ("", "There are no downloaded weights"),
    ],
)
def test_what_is_not_ours_stays(hub: Path, tmp_path: Path, name: str, words: str) -> None:
    cached(hub, "org/m-GGUF", {"m-Q4_0.gguf": b"x"})
    put(tmp_path / ".cache" / "llama.cpp" / "some-model-Q5_0.gguf", b"x")
    put(tmp_path / ".lmstudio" / "models" / "org" / "theirs-GGUF" / "t-Q8_0.gguf", b"x")
    with pytest.raises(ModelNotFound, match=words):
        removal(name)


def test_llama_cpps_own_cache_is_not_ours(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "llama"))
    folder = cached(tmp_path / "llama", "org/m-GGUF", {"m-Q4_0.gguf": b"x"})
    with pytest.raises(ModelNotFound, match=r"belongs to llama\.cpp"):
        removal("org/m-GGUF")
    assert files(folder / "snapshots") == {"m-Q4_0.gguf"}
