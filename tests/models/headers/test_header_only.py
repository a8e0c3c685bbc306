"""Headers rewritten for rehearsals: no tokenizer, no shards, every tensor in its place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadFile
from models.headers.gguf import Array
from models.headers.gguf_bytes import STRING
from models.headers.header_only import header_only
from models.headers.reader import parse
from models.stores.header_files import read_header
from scripts.synthetic import headers
from scripts.synthetic.headers import Entry
from scripts.synthetic.mixes import NUMBERS
from scripts.synthetic.typed import U32, Typed
from tests.support.headers import header_of


def tensors(header_bytes: bytes, size: int) -> list[tuple[str, int, tuple[int, ...]]]:
    header = parse(header_bytes + bytes(0))
    assert header.data_end <= size
    return [(tensor.name, tensor.type, tensor.dims) for tensor in header.tensors]


def test_the_real_model_without_its_tokenizer(smollm2: Path) -> None:
    before = read_header(smollm2)
    rewritten = header_only([before])
    after = parse(rewritten.header)
    assert len(rewritten.header) < 30_000 < before.data_start
    assert [(t.name, t.type, t.dims) for t in after.tensors] == [(t.name, t.type, t.dims) for t in before.tensors]
    assert after.kv["tokenizer.ggml.model"] == "none" and after.kv["llama.vocab_size"] == 49152
    assert not [key for key in after.kv if key.startswith("tokenizer.") and key != "tokenizer.ggml.model"]
    kept = {key: value for key, value in before.kv.items() if not key.startswith(("tokenizer.", "llama.vocab_size"))}
    assert kept.items() <= after.kv.items()


@pytest.mark.parametrize("model", ["mixtral-8x7b", "gemma-3-27b", "gpt-oss-20b"])
def test_shards_become_one(model: str, tmp_path: Path) -> None:
    whole = [read_header(path) for path in headers.make(model, "Q4_K_M", tmp_path / "1", tokenizer="none")]
    parts = [read_header(path) for path in headers.make(model, "Q4_K_M", tmp_path / "3", tokenizer="none", shards=3)]
    rewritten, joined = header_only(whole), header_only(parts)
    assert not [key for key in parse(joined.header).kv if key.startswith("split.")]
    assert sorted(tensors(joined.header, joined.file_bytes)) == sorted(tensors(rewritten.header, rewritten.file_bytes))
    assert joined.file_bytes - len(joined.header) == rewritten.file_bytes - len(rewritten.header)


def test_the_vocabulary_of_a_file_without_tokens_is_its_embedding() -> None:
    assert parse(header_only([header_of("llama")]).header).kv["llama.vocab_size"] == 1000


def test_what_sizes_a_tensor_is_kept_of_the_tokenizer() -> None:
    header = header_of("bert", extra={"tokenizer.ggml.token_type_count": Typed(U32, 2)})
    assert parse(header_only([header]).header).kv["tokenizer.ggml.token_type_count"] == 2


def test_a_long_array_that_is_no_tokenizer_cannot_be_copied() -> None:
    header = header_of("llama", extra={"llama.long": Typed(U32, list(range(5000)))})
    assert isinstance(header.kv["llama.long"], Array)
    with pytest.raises(BadFile, match="cannot be copied"):
        header_only([header])


@given(
    st.dictionaries(st.text("abc._", min_size=1, max_size=8), st.text(max_size=40) | st.integers(0, 2**32 - 1)),
    st.lists(st.tuples(st.sampled_from(["Q4_0", "F32", "Q6_K"]), st.integers(1, 4)), min_size=1, max_size=6),
)
def test_every_value_and_tensor_survives(extra: dict[str, str | int], kinds: list[tuple[str, int]]) -> None:
    typed = {f"x.{key}": Typed(STRING if isinstance(value, str) else U32, value) for key, value in extra.items()}
    table = [Entry(f"t{n}.weight", (256, rows), NUMBERS[kind]) for n, (kind, rows) in enumerate(kinds)]
    before = header_of("llama", tensors=table, extra=typed)
    rewritten = header_only([before])
    after = parse(rewritten.header)
    assert {key: after.kv[key] for key in typed} == {key: before.kv[key] for key in typed}
    assert [(t.name, t.bytes) for t in after.tensors] == [(t.name, t.bytes) for t in before.tensors]
    ends = [after.data_start + tensor.offset + tensor.bytes for tensor in after.tensors]
    assert ends == sorted(ends) and ends[-1] <= rewritten.file_bytes
