import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from struct import pack

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import BadFile
from models.headers.gguf import SHORT, Array, Header, Span, TensorInfo
from models.headers.gguf_bytes import ARRAY, BOOL, FIXED, STRING, UINT32, elements
from models.headers.reader import Reader, parse
from models.stores.header_files import read_header
from scripts.checks import fuzz_gguf
from scripts.checks.fuzz_gguf import in_pieces
from scripts.synthetic import geometries, headers
from scripts.synthetic.raw import array, header, large_headers, pair, small_headers, string, table, tensor

ARCHITECTURE = pair(b"general.architecture", STRING, b"llama")
MATRIX = (b"a.weight", 12, (256, 2))  # Q4_K, 288 bytes


def numbers(code: str) -> st.SearchStrategy[int | float | bool]:
    if code == "?":
        return st.booleans()
    if code in "fd":
        return st.floats(width=32 if code == "f" else 64, allow_nan=False)
    bits = {"b": 8, "h": 16, "i": 32, "q": 64}[code.lower()]
    low, high = (0, 2**bits - 1) if code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.integers(low, high)


SINGLES = st.sampled_from([*FIXED, STRING]).flatmap(
    lambda kind: st.tuples(st.just(kind), st.binary(max_size=20) if kind == STRING else numbers(FIXED[kind]))
)
LISTS = st.sampled_from([*FIXED, STRING]).flatmap(
    lambda kind: st.tuples(
        st.just(kind), st.lists(st.binary(max_size=9) if kind == STRING else numbers(FIXED[kind]), max_size=9)
    )
)
KEYS = st.text(min_size=1, max_size=12)
SHAPES = st.tuples(st.sampled_from([0, 1, 2, 12, 39, 40, 42]), st.lists(st.integers(0, 3), max_size=3))


def text(value: object) -> object:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


@settings(max_examples=100)
@given(
    st.dictionaries(KEYS, SINGLES | LISTS, max_size=8),
    st.dictionaries(st.text(max_size=15), SHAPES, max_size=6),
    st.integers(0, 2**32),
)
def test_reads_back_whatever_was_written(
    kv: dict[str, tuple[int, object]], shapes: dict[str, tuple[int, list[int]]], seed: int
) -> None:
    pairs = [
        array(key.encode(), kind, value) if isinstance(value, list) else pair(key.encode(), kind, value)
        for key, (kind, value) in kv.items()
    ]
    dims = {name: (256, *rest) for name, (_, rest) in shapes.items()}
    raw = header(pairs, table((name.encode(), shapes[name][0], dims[name]) for name in shapes))
    found = parse(raw)
    assert list(found.kv) == list(kv)
    for (key, (kind, value)), written in zip(kv.items(), pairs, strict=True):
        read, place = found.kv[key], found.pairs[key]
        assert raw[place.start : place.end] == written
        if isinstance(read, Array):
            assert isinstance(value, list)
            assert (place.type, read.element_type, read.count) == (ARRAY, kind, len(value))
            assert read.values == tuple(map(text, value))
            assert elements(raw[read.offset : read.end], 0, kind, len(value))[0] == read.values
        else:
            assert (place.type, read) == (kind, text(value))
    assert {tensor.name: (tensor.type, tensor.dims) for tensor in found.tensors} == {
        name: (shapes[name][0], dims[name]) for name in shapes
    }
    assert found.table_end == len(raw)
    assert in_pieces(Random(seed), bytearray(raw)) == found


@pytest.mark.parametrize("version", [2, 3])
def test_lays_out_tensors_behind_each_other(version: int) -> None:
    pairs = [ARCHITECTURE, pair(b"general.alignment", UINT32, 64)]
    raw = header(pairs, table([(b"a", 0, (3,)), (b"b", 12, (256, 2)), (b"c", 1, ())], 64), version)
    found = parse(raw)
    assert (found.version, found.alignment, found.data_start) == (version, 64, -(-len(raw) // 64) * 64)
    assert found.tensors == (
        TensorInfo("a", 0, (3,), 0),
        TensorInfo("b", 12, (256, 2), 64),
        TensorInfo("c", 1, (), 64 + 320),
    )
    assert [(tensor.elements, tensor.bytes) for tensor in found.tensors] == [(3, 12), (512, 288), (1, 2)]
    assert found.data_end == found.data_start + 64 + 320 + 2
    sizes = [found.data_end - 1, found.data_end, found.data_end + 1, found.data_start + 448, found.data_start + 512]
    assert [found.accounts_for(size) for size in sizes] == [False, True, False, True, False]


def test_a_header_without_tensors_or_keys() -> None:
    found = parse(header([], []))
    assert (found.kv, found.tensors, found.data_start, found.data_end) == ({}, (), 24, 24)
    assert found.tokenizer() is None


def test_any_byte_but_zero_is_true() -> None:
    key = b"flag"
    raw = header([pair(key, 0, 1)], []).replace(key + pack("<I", 0) + b"\1", key + pack("<I", BOOL) + b"\x83")
    assert parse(raw).kv == {"flag": True}


def test_text_that_is_not_utf8_can_still_be_printed() -> None:
    raw = header([pair(b"na\xffme", STRING, b"\xc3")], [tensor(b"\x80", 0, (1,), 0)])
    found = parse(raw)
    assert (found.kv, found.tensors[0].name) == ({"na\\xffme": "\\xc3"}, "\\x80")


def claiming(kind: int, count: int) -> bytes:
    """A header with one empty array that claims elements."""
    return header([string(b"list") + pack("<IIQ", ARRAY, kind, count)], [])


REFUSED = {
    "empty": (b"", "header at byte 0: the file is empty"),
    "not gguf": (b"PK\x03\x04" + bytes(99), r"header at byte 0: not a GGUF file, it begins with 'PK\x03\x04'"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\n", "begins with 'vers': a pointer of Git LFS and not"),
    "web page": (b"\n<!DOCTYPE html>\n", ": a web page, which was downloaded in place of the weights"),
    "before gguf": (b"tjgg\x03\0\0\0", "begins with 'tjgg': weights for llama.cpp before August 2023"),
    "safetensors": (
        pack("<Q", 4096) + b'{"__metadata__":',
        "as transformers has them, in safetensors; localrun search",
    ),
    "short": (b"GGUF\x03\0\0\0", "header at byte 0: it reaches past byte 8, where the file ends"),
    "big endian": (b"GGUF" + pack(">IQQ", 3, 0, 0), "big endian"),
    "version 0": (header([], [], 0), "GGUF version 0"),
    "version 1": (header([], [], 1), "GGUF version 1"),
    "version 4": (header([], [], 4), "GGUF version 4"),
    "many tensors": (b"GGUF" + pack("<IQQ", 3, 2**40, 0), "it claims 1099511627776 tensors"),
    "negative tensors": (b"GGUF" + pack("<IqQ", 3, -1, 0), "tensors"),
    "many keys": (b"GGUF" + pack("<IQQ", 3, 0, 2**63), "it claims 9223372036854775808 keys"),
    "fewer keys": (b"GGUF" + pack("<IQQ", 3, 0, 2) + ARCHITECTURE, "key 1 at byte 69: it reaches past byte 69"),
    "no key": (header([pair(b"", 0, 1)], []), "key 0 at byte 24: it is empty"),
    "long key": (header([pair(b"k" * 65_536, 0, 1)], []), "its name has 65536 bytes, 65535 are the most"),
    "twice": (header([ARCHITECTURE, ARCHITECTURE], []), "key 1 at byte 69: 'general.architecture' is there twice"),
    "value type": (header([string(b"k") + pack("<IB", 13, 1)], []), "type 13"),
    "nested": (claiming(ARRAY, 0), "type 9"),
    "huge string": (header([ARCHITECTURE.replace(pack("<Q", 5), pack("<Q", 2**63))], []), "it reaches past byte 69"),
    "huge array": (claiming(12, 2**61), "key 0 at byte 24: it reaches past byte 52, where the file ends"),
    "alignment type": (header([pair(b"general.alignment", 10, 32)], []), "'general.alignment' is not a power"),
    "alignment 0": (header([pair(b"general.alignment", UINT32, 0)], []), "'general.alignment' is not a power"),
    "alignment 48": (header([pair(b"general.alignment", UINT32, 48)], []), "'general.alignment' is not a power"),
    "long name": (header([], [tensor(b"t" * 64, 0, (1,), 0)]), "tensor 0 at byte 24: its name has 64 bytes"),
    "same name": (header([], table([MATRIX, MATRIX])), "tensor 1 at byte 72: 'a.weight' is there twice"),
    "dimensions": (header([], [tensor(b"t", 0, (1, 1, 1, 1), 0).replace(b"\4\0\0\0", b"\5\0\0\0")]), "5 dimensions"),
    "negative": (header([], [tensor(b"t", 0, (2**64 - 1,), 0)]), "'t' has impossible dimensions [-1]"),
    "overflow": (header([], [tensor(b"t", 0, (2**32, 2**31), 0)]), "impossible dimensions"),
    "removed type": (header([], [tensor(b"t", 36, (256,), 0)]), "'t' has type 36, which llama.cpp does not read"),
    "unknown type": (header([], [tensor(b"t", 43, (256,), 0)]), "'t' has type 43, which llama.cpp does not read"),
    "negative type": (header([], [tensor(b"t", -1, (256,), 0)]), "'t' has type -1"),
    "row": (header([], [tensor(b"t", 12, (255,), 0)]), "rows of 255 values, Q4_K takes multiples of 256"),
    "no row": (header([], [tensor(b"t", 12, (), 0)]), "rows of 1 values"),
    "gap": (
        header([], [*table([MATRIX]), tensor(b"t", 0, (1,), 320)]),
        "has offset 320, the tensors before end at 288",
    ),
    "bytes": (header([], [tensor(b"t", 28, (2**62,), 0)]), "'t' ends beyond 64 bits"),
    "terminal": (header([], [tensor(b"\x1b[2J", 5, (1,), 0)]), r"'\x1b[2J' has type 5"),
}


@pytest.mark.parametrize(("raw", "sentence"), REFUSED.values(), ids=REFUSED)
def test_refuses_and_says_where(raw: bytes, sentence: str) -> None:
    with pytest.raises(BadFile) as refused:
        parse(raw)
    assert sentence in str(refused.value)
    assert str(refused.value).isprintable()


def test_every_cut_is_refused() -> None:
    raw = header([ARCHITECTURE, array(b"list", STRING, [b"one", b"two"])], table([MATRIX]))
    for end in range(len(raw)):
        with pytest.raises(BadFile):
            parse(raw[:end])


@pytest.mark.parametrize(
    "claim",
    [
        claiming(12, 2**22),
        claiming(STRING, 2**22),
        claiming(0, 4096),
        header([ARCHITECTURE.replace(pack("<Q", 5), pack("<Q", 2**25))], []),
        b"GGUF" + pack("<IQQ", 3, 200_000, 65_536),
    ],
)
def test_allocates_nothing_for_a_claim(claim: bytes) -> None:
    tracemalloc.start()
    reader = Reader()  # the size is not known, so the claim may still come true
    reader.feed(claim)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reader.header is None
    assert peak < 100_000


def test_a_header_beyond_the_limit_is_refused_before_it_is_read() -> None:
    reader = Reader()
    with pytest.raises(BadFile, match="reaches past byte 67108864, where a header must have ended"):
        reader.feed(claiming(0, 2**26))


def test_long_arrays_are_skipped_and_say_where_they_lie() -> None:
    lists: dict[str, tuple[int, Sequence[bytes | int]]] = {
        "short": (STRING, [b"word %d" % n for n in range(SHORT)]),
        "words": (STRING, [b"word %d" % n for n in range(SHORT + 1)]),
        "ids": (5, range(-SHORT, 1)),
    }
    raw = header([array(key.encode(), kind, list(items)) for key, (kind, items) in lists.items()], [])
    arrays = {key: value for key, value in parse(raw).kv.items() if isinstance(value, Array)}
    assert [value.values is None for value in arrays.values()] == [False, True, True]
    for key, (kind, items) in lists.items():
        found = elements(raw, arrays[key].offset, kind, len(items))
        assert found == (tuple(map(text, items)), arrays[key].end)


@cache
def large() -> bytes:
    return large_headers()[0]


def read_remotely(file: bytes, known: Span | None = None, first: int = 1 << 18) -> tuple[Reader, int, int]:
    """As `remote` does it: (reader, requests, bytes)."""
    reader = Reader(len(file), known)
    requests = fetched = 0
    while reader.header is None:
        assert requests < 100, reader.wants
        start, end = reader.wants
        piece = file[start : min(end, first) if not requests else end]
        reader.feed(piece)
        requests += 1
        fetched += len(piece)
    return reader, requests, fetched


def test_a_remote_header_takes_few_requests_and_few_bytes() -> None:
    file = large() + bytes(1 << 20)
    reader, requests, fetched = read_remotely(file)
    assert reader.header == parse(large())
    assert requests <= 4
    assert fetched < 1.02 * len(large())


def sibling(pairs: Sequence[bytes], tokens: int = 5000, kind: int = 12) -> bytes:
    """A file of 40 tensors whose tokenizer depends on nothing but the number of tokens."""
    words = [b"w" * (n % 13) for n in range(tokens)]
    tokenizer = [
        array(b"tokenizer.ggml.tokens", STRING, words),
        pair(b"tokenizer.ggml.pre", STRING, b"llama-bpe"),
        array(b"tokenizer.ggml.scores", 6, [0.5] * tokens),
    ]
    shapes = [(b"blk.%d.attn_q.weight" % n, kind, (256, 8)) for n in range(40)]
    raw = header([*pairs, *tokenizer, pair(b"tokenizer.chat_template", STRING, b"t" * 2000)], table(shapes))
    data_start = -(-len(raw) // 32) * 32
    return raw.ljust(data_start + parse(raw).data_end - parse(raw).data_start, b"\0")


def test_a_known_tokenizer_is_not_read_again() -> None:
    known = parse(sibling([ARCHITECTURE])).tokenizer()
    assert known is not None
    assert list(known.kv) == ["tokenizer.ggml.tokens", "tokenizer.ggml.pre", "tokenizer.ggml.scores"]
    other = sibling([ARCHITECTURE, pair(b"quantize.imatrix.file", STRING, b"i" * 300)], kind=14)
    reader, _, fetched = read_remotely(other, known, first=8192)
    assert reader.spliced
    assert reader.header == parse(other)
    assert reader.header is not None
    assert reader.header.accounts_for(len(other))
    assert fetched < 8192 + (16 << 10) + 64 * 40 + 3000


def test_a_known_tokenizer_inside_the_first_piece() -> None:
    file = sibling([ARCHITECTURE])
    reader, requests, _ = read_remotely(file, parse(file).tokenizer())
    assert (reader.spliced, requests, reader.header) == (True, 1, parse(file))


def test_another_tokenizer_is_read_in_full() -> None:
    known = parse(sibling([ARCHITECTURE], tokens=5001)).tokenizer()
    file = sibling([ARCHITECTURE])
    reader, _, _ = read_remotely(file, known, first=8192)
    assert (reader.spliced, reader.header) == (False, parse(file))


@pytest.mark.parametrize("longer", [-8, -1, 1, 8])
def test_a_tokenizer_of_another_length_cannot_be_proved(longer: int) -> None:
    file = sibling([ARCHITECTURE])
    known = parse(file).tokenizer()
    assert known is not None
    wrong = replace(known, end=known.end + longer)
    try:
        reader, _, _ = read_remotely(file, wrong, first=8192)
    except BadFile:
        return
    assert reader.header is not None
    assert not reader.header.accounts_for(len(file))


def test_long_arrays_outside_the_tokenizer_are_never_taken_as_known() -> None:
    assert parse(header([array(b"other.list", 0, bytes(5000))], [])).tokenizer() is None


def assert_same_as_the_package(path: Path) -> Header:
    """Same keys, values and tensors as the package gguf finds."""
    ours, theirs = read_header(path), gguf.GGUFReader(path)
    with path.open("rb") as file:
        raw = file.read(ours.data_start)
    fields = {key: field for key, field in theirs.fields.items() if not key.startswith("GGUF.")}
    assert list(ours.kv) == list(fields)
    for key, field in fields.items():
        value = ours.kv[key]
        contents = field.contents()
        if isinstance(value, Array):
            assert elements(raw, value.offset, value.element_type, value.count)[0] == tuple(contents), key
        else:
            assert value == contents, key
    assert [(t.name, t.type, t.dims, ours.data_start + t.offset, t.elements, t.bytes) for t in ours.tensors] == [
        (t.name, int(t.tensor_type), tuple(t.shape.tolist()), t.data_offset, t.n_elements, t.n_bytes)
        for t in theirs.tensors
    ]
    assert (ours.alignment, ours.data_start) == (theirs.alignment, theirs.data_offset)
    return ours


def test_a_real_file_reads_as_the_package_reads_it(smollm2: Path) -> None:
    found = assert_same_as_the_package(smollm2)
    assert found.accounts_for(smollm2.stat().st_size)


@pytest.mark.parametrize("model", sorted(geometries.MODELS))
def test_real_geometries_read_as_the_package_reads_them(model: str, tmp_path: Path) -> None:
    (path,) = headers.make(model, "Q4_K_M", tmp_path, tokenizer="none")
    found = assert_same_as_the_package(path)
    assert found.accounts_for(path.stat().st_size)


def test_all_value_types_read_as_the_package_reads_them(tmp_path: Path) -> None:
    written = [array(b"array.%d" % kind, kind, [kind % 2] * 3) for kind in FIXED]
    written += [pair(b"single.%d" % kind, kind, 1) for kind in FIXED]
    written += [array(b"words", STRING, [b"one", b"", "zwölf".encode()])]
    path = tmp_path / "types.gguf"
    path.write_bytes(header(written, table([MATRIX])).ljust(2048, b"\0"))
    assert_same_as_the_package(path)


def test_local_files_that_cannot_be_used(tmp_path: Path) -> None:
    raw = header([ARCHITECTURE], table([MATRIX]))
    data_start = -(-len(raw) // 32) * 32
    whole, cut, empty = (tmp_path / name for name in ("whole.gguf", "cut.gguf", "empty.gguf"))
    whole.write_bytes(raw.ljust(data_start + 288, b"\0"))
    cut.write_bytes(raw.ljust(data_start + 287, b"\0"))
    empty.touch()
    assert read_header(whole) == parse(raw)
    sentences = {
        cut: f"the file is cut: {data_start + 287} bytes, and its tensors end at byte {data_start + 288}",
        empty: "the file is empty",
        tmp_path: "no such file",
        tmp_path / "absent.gguf": "no such file",
    }
    for path, sentence in sentences.items():
        with pytest.raises(BadFile) as refused:
            read_header(path)
        assert str(path) in str(refused.value)
        assert sentence in str(refused.value)


def test_a_large_vocabulary_is_skipped_not_decoded() -> None:
    raw = large()
    tracemalloc.start()
    parse(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * len(raw)  # one copy; 400,000 decoded strings would take four times as much


def test_damaged_headers_are_read_or_refused() -> None:
    report = fuzz_gguf.run(small_headers(), range(10_000), seed=1)
    assert 0 < report.read < report.cases == 10_000
    assert report.slowest < fuzz_gguf.SECONDS


def test_damaged_headers_of_full_size_are_read_or_refused() -> None:
    report = fuzz_gguf.run(large_headers(), range(16), seed=1)
    assert report.slowest < fuzz_gguf.SECONDS
