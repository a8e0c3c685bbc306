"""Code blocks and links of an answer, and the numbers that the drawn blocks have."""

from tui.markdown.blocks import CodeBlock, Link, code_blocks, targets
from tui.markdown.drawn import drawn
from tui.markdown.split import cut, is_inside_code


def test_blocks_and_links_in_order() -> None:
    text = "See <https://a.org> and:\n\n```python title\nx = 1\n```\n\n- in a list:\n\n  ~~~\n  y\n  ~~~\n\n[b](http://b.org)"
    assert targets(text) == [
        Link("https://a.org"),
        CodeBlock("python", "x = 1\n"),
        CodeBlock("", "y\n"),
        Link("http://b.org"),
    ]


def test_a_block_that_still_grows_counts() -> None:
    assert code_blocks("```sh\necho") == [CodeBlock("sh", "echo")]
    assert code_blocks("    indented\n\n`inline`") == []


def lines(text: str, first: int | None, *, continued: bool = False) -> list[str]:
    return [line.plain.strip() for line in drawn(text, 40, first, continued=continued)]


def test_numbers_are_drawn_where_there_are_some() -> None:
    text = "```a\n1\n```\n\n```\n2\n```"
    assert [line for line in lines(text, 7) if line.startswith("[")] == ["[7] a", "[8] text"]
    assert [line for line in lines(text, 7, continued=True) if line.startswith("[")] == ["[7] text"]
    assert not [line for line in lines(text, None) if line.startswith("[")]


def test_a_cut_through_code_is_known_from_others() -> None:
    inside = "```\n" + "line\n" * 400
    outside = "word " * 200 + "\n\n```\nx\n```\n" + "word " * 200
    table = "| a | b |\n| - | - |\n" + "| 1 | 2 |\n" * 200
    for text, expected in ((inside, True), (outside, False), (table, False)):
        parts = cut(text, 1200)
        assert parts is not None
        assert is_inside_code(text, parts) is expected
