"""What of an answer can be taken away: code blocks and links, in the order in which they stand there. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """Code between fences; `language` is empty where the answer names none."""

    language: str
    code: str


@dataclass(frozen=True, slots=True)
class Link:
    """Where a link leads."""

    url: str


@lru_cache(1)
def parser() -> MarkdownIt:
    """Markdown as models write it, with tables and bare links; HTML is text like any other."""
    return MarkdownIt("gfm-like", {"html": False})


def code_blocks(source: str) -> list[CodeBlock]:
    """All code blocks of a text; one that is still open counts."""
    return [target for target in targets(source) if isinstance(target, CodeBlock)]


def targets(source: str) -> list[CodeBlock | Link]:
    """All code blocks and links of a text."""
    if not any(mark in source for mark in ("```", "~~~", "](", "://", "www.", "@")):
        return []
    return [target for token in parser().parse(source) for target in _targets(token)]


def _targets(token: Token) -> Iterator[CodeBlock | Link]:
    if token.type == "fence":
        yield CodeBlock(token.info.partition(" ")[0], token.content)
    for child in token.children or ():
        if child.type == "link_open":
            yield Link(str(child.attrs["href"]))
