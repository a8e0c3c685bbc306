import os
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.headers.gguf import Header
from models.headers.gguf_bytes import BOOL, STRING
from models.headers.reader import parse
from models.stores.header_cache import TOKENIZERS_KEPT, HeaderCache, tokenizer_of
from models.stores.header_files import read_header
from scripts.synthetic import headers
from scripts.synthetic.geometries import MODELS
from scripts.synthetic.headers import Entry
from scripts.synthetic.typed import F32, I32, U32, Typed

DIGEST = "0123456789abcdef" * 4


def phi(folder: Path) -> Header:
    return read_header(headers.make("phi-3-mini", "Q4_K_M", folder)[0])


@pytest.mark.parametrize("model", MODELS)
def test_a_header_comes_back_as_it_was(tmp_path: Path, model: str) -> None:
    header = read_header(headers.make(model, "Q8_0", tmp_path, tokenizer="none")[0])
    cache = HeaderCache(tmp_path / "cache")
    assert cache.get(DIGEST) is None
    cache.put(DIGEST, header)
    assert cache.get(DIGEST) == header


def test_a_real_header_with_its_tokenizer(tmp_path: Path, smollm2: Path) -> None:
    header = read_header(smollm2)
    cache = HeaderCache(tmp_path)
    cache.put(DIGEST, header)
    assert cache.get(DIGEST) == header
    assert (tmp_path / "headers" / DIGEST).stat().st_size < 16 << 10


VALUES = st.one_of(
    st.booleans().map(lambda value: Typed(BOOL, value)),
    st.integers(0, 2**32 - 1).map(lambda value: Typed(U32, value)),
    st.integers(-(2**31), 2**31 - 1).map(lambda value: Typed(I32, value)),
    st.floats(width=32, allow_nan=False).map(lambda value: Typed(F32, value)),
    st.text().map(lambda value: Typed(STRING, value)),
    st.lists(st.integers(-9, 9), max_size=5).map(lambda value: Typed(I32, value)),
    st.lists(st.text(max_size=5), max_size=5).map(lambda value: Typed(STRING, value)),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kv=st.dictionaries(st.text(st.characters(codec="ascii"), min_size=1), VALUES, max_size=6))
def test_any_values_come_back(tmp_path: Path, kv: dict[str, Typed]) -> None:
    kv.pop("general.alignment", None)
    header = parse(headers.header_bytes(kv, [Entry("a", (32, 2), 0), Entry("b", (), 1)]))
    cache = HeaderCache(tmp_path)
    cache.put(DIGEST, header)
    back = cache.get(DIGEST)
    assert back == header
    assert back is not None
    assert [type(value) for value in back.kv.values()] == [type(value) for value in header.kv.values()]


def test_a_damaged_entry_counts_as_absent(tmp_path: Path) -> None:
    header = phi(tmp_path)
    cache = HeaderCache(tmp_path / "cache")
    cache.put(DIGEST, header)
    entry = tmp_path / "cache/headers" / DIGEST
    good = entry.read_bytes()
    for at in range(0, len(good), 97):
        entry.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        assert cache.get(DIGEST) in (None, header)
        entry.write_bytes(good[:at])
        assert cache.get(DIGEST) is None
    entry.write_bytes(zlib.compress(b"[" * 100_000))
    assert cache.get(DIGEST) is None
    cache.put(DIGEST, header)
    assert entry.read_bytes() == good
    assert zlib.decompress(entry.with_name(f"{DIGEST}.damaged").read_bytes()) == b"[" * 100_000
    (note,) = cache.notes()
    assert "lie there as NAME.damaged" in note


def test_an_entry_of_another_version_is_no_damage(tmp_path: Path) -> None:
    cache, entry = HeaderCache(tmp_path), tmp_path / "headers" / DIGEST
    entry.parent.mkdir()
    entry.write_bytes(zlib.compress(b'{"format": 1}'))
    assert cache.get(DIGEST) is None and entry.exists() and not cache.notes()


@pytest.mark.parametrize("content", [b"", b"{}", b"x\x9c+\xae\x05\x00\x00\xf4\x00\xf4", b"\0" * 100])
def test_an_entry_of_something_else_counts_as_absent(tmp_path: Path, content: bytes) -> None:
    cache = HeaderCache(tmp_path)
    for folder in ("headers", "tokenizers"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / DIGEST).write_bytes(content)
    assert cache.get(DIGEST) is None
    assert cache.tokenizers() == []


@pytest.mark.parametrize("digest", [None, "", "../../escape", "0" * 63, "0" * 65, "G" * 64, DIGEST + "\n"])
def test_only_a_digest_names_an_entry(tmp_path: Path, digest: str | None) -> None:
    cache = HeaderCache(tmp_path / "cache")
    cache.put(digest, phi(tmp_path / "files"))
    assert cache.get(digest) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files"]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    header = phi(tmp_path)
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = HeaderCache(tmp_path / "cache")
    cache.put(DIGEST, header)
    tokenizer = tokenizer_of(header)
    assert tokenizer is not None
    cache.remember(tokenizer)
    assert cache.get(DIGEST) is None
    assert cache.tokenizers() == []


def test_tokenizers_come_back_the_latest_first_and_only_so_many(tmp_path: Path) -> None:
    geometry = MODELS["phi-3-mini"]
    cache = HeaderCache(tmp_path)
    table = headers.entries(geometry, "Q4_K_M")
    kept = []
    for count in range(TOKENIZERS_KEPT + 3):
        tokens = Typed(STRING, ["t"] * (5000 + count))
        header = parse(headers.header_bytes({"tokenizer.ggml.tokens": tokens}, table))
        tokenizer = tokenizer_of(header)
        assert tokenizer is not None
        cache.remember(tokenizer)
        kept.append(tokenizer)
        for entry in (tmp_path / "tokenizers").iterdir():  # the clock of a file system is coarse
            os.utime(entry, ns=(0, entry.stat().st_mtime_ns - 10**9))
    found = cache.tokenizers()
    assert len(found) == TOKENIZERS_KEPT
    assert [one.span.moved(0) for one in kept[::-1][:TOKENIZERS_KEPT]] == [one.span for one in found]
    assert all(one.tail == kept[0].tail for one in found)
    for entry in (tmp_path / "tokenizers").iterdir():
        os.utime(entry, (4e9, 4e9))  # by a clock that was ahead
    cache.remember(kept[0])
    assert cache.tokenizers()[0].span == kept[0].span.moved(0), "what comes last is kept, not thrown out at once"


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    cache = HeaderCache(tmp_path / "cache")
    for _ in range(2):
        cache.put(DIGEST, phi(tmp_path))
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [DIGEST]
