"""How a header says that a text becomes a vector or a score, and what is wanted in front of it."""

import pytest

from models.headers.gguf import Value
from models.headers.gguf_bytes import STRING
from models.headers.pooling import Pooling, pooling_of, unranked
from models.headers.prefixes import TextRole, prefixes_of
from models.headers.shape import shape_of
from scripts.synthetic.headers import Entry
from scripts.synthetic.mixes import NUMBERS, Dims
from scripts.synthetic.typed import Typed
from tests.support.headers import EMBEDDING, header_of


@pytest.mark.parametrize(
    ("number", "pooling"),
    [(None, None), (0, None), (1, Pooling.MEAN), (2, Pooling.CLS), (3, Pooling.LAST), (4, Pooling.RANK), (9, None)],
)
def test_a_number_is_a_pooling(number: int | None, pooling: Pooling | None) -> None:
    kv: dict[str, Value] = {"general.architecture": "qwen3"}
    assert pooling_of(kv if number is None else {**kv, "qwen3.pooling_type": number}) is pooling


def head(name: str, *dims: int) -> Entry:
    whole: Dims = dims
    return Entry(name, whole, NUMBERS["F32"])


LABELS = {"bert.classifier.output_labels": Typed(STRING, ["good", "bad"])}
TEMPLATE = {"tokenizer.chat_template.rerank": Typed(STRING, "{query} {document}")}


@pytest.mark.parametrize(
    ("tensors", "extra", "why"),
    [
        ([], {}, "has no head"),
        ([head("cls.weight", 256, 256)], {}, "has no head"),
        ([head("cls.weight", 256)], {}, None),
        ([head("cls.weight", 256, 1)], {}, None),
        ([head("cls.weight", 256, 256), head("cls.output.weight", 256, 1)], {}, None),
        ([head("cls.output.weight", 256, 2)], {}, "has no head"),
        ([head("cls.output.weight", 256, 2)], LABELS, "sorts texts into 2 classes"),
        ([head("cls.output.weight", 256, 2)], {**LABELS, **TEMPLATE}, None),
    ],
)
def test_scores_mean_something_only_behind_a_head(
    tensors: list[Entry], extra: dict[str, Typed], why: str | None
) -> None:
    found = unranked([header_of("bert", tensors=[EMBEDDING, *tensors], extra=extra)])
    assert found is why or (found is not None and why is not None and found.startswith(why))


@pytest.mark.parametrize(
    ("called", "query", "document"),
    [
        ("nomic-embed-text-v1.5.Q8_0.gguf", "search_query: ", "search_document: "),
        ("Qwen/Qwen3-Embedding-0.6B-GGUF", "Instruct: Given a web search query", ""),
        ("embeddinggemma-300M-Q8_0.gguf", "task: search result | query: ", "title: none | text: "),
        ("multilingual-e5-large-instruct-f16.gguf", "Instruct: ", ""),
        ("multilingual-e5-large-f16.gguf", "query: ", "passage: "),
        ("bge-large-en-v1.5-f16.gguf", "Represent this sentence", ""),
        ("snowflake-arctic-embed-m-v2.0-Q8_0.gguf", "query: ", ""),
        ("snowflake-arctic-embed-m-Q8_0.gguf", "Represent this sentence", ""),
        ("bge-m3-Q8_0.gguf", "", ""),
    ],
)
def test_the_words_of_a_family_go_in_front(called: str, query: str, document: str) -> None:
    found = prefixes_of({}, (called,))
    assert found is not None and found.page.startswith("https://huggingface.co/")
    assert found.of(TextRole.QUERY).startswith(query) and bool(found.of(TextRole.QUERY)) == bool(query)
    assert found.of(TextRole.DOCUMENT) == document


def test_the_models_own_name_counts_and_an_unknown_one_has_no_row() -> None:
    assert prefixes_of({"general.name": "Nomic Embed Text v1.5"}, ("x.gguf",)) == prefixes_of({}, ("nomic-embed-text",))
    assert prefixes_of({"general.name": "Some Model"}, ("x.gguf",)) is None


def test_what_sees_the_whole_text_is_not_causal() -> None:
    assert shape_of([header_of("qwen3")]).is_causal
    assert not shape_of([header_of("qwen3", {"attention.causal": False})]).is_causal
    assert not shape_of([header_of("bert")]).is_causal and not shape_of([header_of("bert")]).has_logits
