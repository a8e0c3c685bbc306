"""What a model's maker wants in front of a text that becomes a vector, and the page that says so. Pure data.

Models that find documents for a query tell the two apart by words in front of them. No header has a place for these,
so they are published, in each model's card. The cards were read as others quote them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from models.headers.gguf import Value

_NAMES = ("general.name", "general.basename", "general.finetune", "general.base_model.0.name")


class TextRole(StrEnum):
    """What a text is in a search."""

    QUERY = "query"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Prefixes:
    """A row: for the models one of whose names has `words`."""

    words: re.Pattern[str]
    query: str
    document: str
    page: str

    def of(self, role: TextRole) -> str:
        """What goes in front of a text of this role; may be empty."""
        return self.query if role is TextRole.QUERY else self.document


def _row(words: str, query: str, document: str, repository: str) -> Prefixes:
    return Prefixes(re.compile(words), query, document, f"https://huggingface.co/{repository}")


_SEARCHING = "Represent this sentence for searching relevant passages: "
_INSTRUCTED = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"

# The first that matches counts: the narrower before the wider.
_TABLE = (
    _row("nomic-embed-text", "search_query: ", "search_document: ", "nomic-ai/nomic-embed-text-v1.5"),
    _row(
        "embedding-?gemma|gemma-embedding",
        "task: search result | query: ",
        "title: none | text: ",
        "google/embeddinggemma-300m",
    ),
    _row("qwen3-(vl-)?embedding", _INSTRUCTED, "", "Qwen/Qwen3-Embedding-0.6B"),
    _row("e5-mistral", _INSTRUCTED + " ", "", "intfloat/e5-mistral-7b-instruct"),
    _row("multilingual-e5-large-instruct", _INSTRUCTED + " ", "", "intfloat/multilingual-e5-large-instruct"),
    _row(r"\be5-(small|base|large)", "query: ", "passage: ", "intfloat/multilingual-e5-large"),
    _row("bge-(small|base|large)-en", _SEARCHING, "", "BAAI/bge-large-en-v1.5"),
    _row("mxbai-embed", _SEARCHING, "", "mixedbread-ai/mxbai-embed-large-v1"),
    _row("arctic-embed.*-v2", "query: ", "", "Snowflake/snowflake-arctic-embed-l-v2.0"),
    _row("arctic-embed", _SEARCHING, "", "Snowflake/snowflake-arctic-embed-l"),
    *(
        _row(words, "", "", page)
        for words, page in (
            ("bge-m3", "BAAI/bge-m3"),
            ("all-minilm|all-mpnet", "sentence-transformers/all-MiniLM-L6-v2"),
            ("gte-(small|base|large)", "thenlper/gte-large"),
            ("jina-embeddings-v2", "jinaai/jina-embeddings-v2-base-en"),
            ("granite-embedding", "ibm-granite/granite-embedding-125m-english"),
        )
    ),
)


def prefixes_of(kv: Mapping[str, Value], called: Iterable[str] = ()) -> Prefixes | None:
    """What is published of a model with these header values; `called`: what else it goes by, as its file."""
    names = " ".join(_folded(name) for name in (*_own(kv), *called))
    return next((row for row in _TABLE if row.words.search(names)), None)


def _own(kv: Mapping[str, Value]) -> Iterator[str]:
    yield from (name for key in _NAMES if isinstance(name := kv.get(key), str))


def _folded(name: str) -> str:
    return re.sub(r"[\s_/]+", "-", name.casefold())
