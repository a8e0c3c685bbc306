"""Files beside a prompt, in tokens."""

from runner.report.prompt import FileSize, file_size_line, too_long

NOTES, BOOK = FileSize("notes.txt", 55), FileSize("book\n.txt", 40_000, about=True)


def test_each_is_counted() -> None:
    assert file_size_line(NOTES) == "notes.txt: 55 tokens"
    assert file_size_line(BOOK) == "book .txt: about 40,000 tokens"


def test_what_is_too_long_is_said_in_numbers_with_what_would_help() -> None:
    assert too_long([NOTES], 1000, 1024, 8192) == (
        "The prompt has 1,000 tokens (notes.txt 55), and the answer needs room too; the context holds 1,024, "
        "and --ctx 2048 would hold it."
    )
    assert too_long([], 1000, 1024, 8192).startswith("The prompt has 1,000 tokens, and the answer needs room too;")
    assert too_long([NOTES, BOOK], 40_055, 1024, 8192) == (
        "The prompt has about 40,055 tokens (notes.txt 55, book .txt 40,000), and the answer needs room too; "
        "the context holds 1,024, and the model was trained for 8,192."
    )
