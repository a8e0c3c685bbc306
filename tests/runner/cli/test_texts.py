"""Lines of text from files and pipes, and what becomes of them on the way out."""

from __future__ import annotations

import io
import os
from array import array
from pathlib import Path

import numpy as np
import pytest

from models.errors import UsageError
from models.headers.pooling import Pooling
from models.headers.prefixes import TextRole, prefixes_of
from runner.cli.options import parse
from runner.cli.output import Output
from runner.cli.texts import portions, source
from runner.cli.texts_session import command_of
from runner.cli.vectors import Gathered, Rows, as_lines
from runner.report.vectors import Tally, end_line, prefix_note, progress_line, refused
from runner.types.commands import Embed, Score
from runner.types.vectors import Made, Purpose, Row, TextLine, numbers_of


def lines_of(content: bytes, path: Path) -> list[TextLine]:
    path.write_bytes(content)
    with source(path) as descriptor:
        return [line for portion in portions(descriptor) for line in portion.lines]


def test_a_line_is_a_text_or_an_object_with_one(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfone\r\n\n \n{"id": 7, "text": "a\\nb"}\n{"text": 7}\n{no\nlast \xff'
    wrong = "A line that starts with a brace must be JSON with a text."
    assert lines_of(content, tmp_path / "x") == [
        TextLine(1, "1", "one"),
        TextLine(4, "7", "a\nb"),
        TextLine(5, "5", "", wrong),
        TextLine(6, "6", "", wrong),
        TextLine(7, "7", "last �"),
    ]


def test_lines_are_whole_wherever_a_read_ends(tmp_path: Path) -> None:
    texts = [f"{number} " + "é" * (number % 300) for number in range(2000)]
    assert [one.text for one in lines_of("\n".join(texts).encode(), tmp_path / "x")] == [
        text.strip(" ") + " " * (text.endswith(" ")) for text in texts
    ]


def test_texts_in_another_encoding_are_no_vectors_of_garbage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"are UTF-16, and wanted as UTF-8; iconv"):
        lines_of("one\ntwo\n".encode("utf-16"), tmp_path / "x")


def test_what_a_pipe_has_brought_is_not_held_back() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"one\ntwo\nthr")
    found = portions(reading)
    assert [line.text for line in next(found).lines] == ["one", "two"]
    os.write(writing, b"ee\n")
    assert [line.text for line in next(found).lines] == ["three"]
    os.close(writing)
    assert not list(found)
    os.close(reading)


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"), source(tmp_path / "none"):
        pass
    with pytest.raises(UsageError, match="cannot be read"), source(tmp_path) as folder:
        list(portions(folder))


def row(number: int, *values: float, refusal: str | None = None, whole: int = 3) -> Row:
    made = Made(3, whole, numbers_of(array("f", values).tobytes()), refusal)
    return Row(TextLine(number, f"t{number}", f"text {number}"), made)


def test_numbers_in_json_are_the_same_float32_again() -> None:
    out = io.StringIO()
    values = (0.1, -1 / 3, 1e-20)
    as_lines(Output(out, io.StringIO()), Purpose.EMBED)(row(1, *values, whole=9))
    told = np.array(__import__("json").loads(out.getvalue())["embedding"], np.float32)
    assert (told == np.array(values, np.float32)).all()
    assert '"truncated": true' in out.getvalue()


def test_a_matrix_has_a_row_for_each_text_also_for_those_that_were_refused(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "x.npy")
    for one in (row(1, refusal="long"), row(2, 1, 2), Row(TextLine(3, "3", "", "wrong"), None), row(4, 3, 4)):
        rows.take(one)
    rows.close()
    found = np.load(tmp_path / "x.npy")
    assert found[[1, 3]].tolist() == [[1, 2], [3, 4]] and np.isnan(found[[0, 2]]).all()


def test_the_best_come_first_and_what_has_no_score_is_not_among_them() -> None:
    gathered = Gathered(Purpose.RANK, top=2)
    for one in (row(1, 0.5), row(2, refusal="long"), row(3, 0.75), row(4, -1)):
        gathered.take(one)
    assert [(found["line"], found["score"], found["text"]) for found in gathered.rows] == [
        (3, 0.75, "text 3"),
        (1, 0.5, "text 1"),
    ]


def test_flags_of_both_commands() -> None:
    embed = parse(["embed", "m", "--as", "query", "in.txt", "--pooling", "LAST", "--npy", "o.npy"], {}, {})
    assert (embed.texts, embed.role, embed.pooling) == (Path("in.txt"), TextRole.QUERY, Pooling.LAST)
    rerank = parse(["rerank", "m", "--query", "q", "--top", "3", "--truncate", "--ctx", "512"], {}, {})
    assert (rerank.texts, rerank.query, rerank.top, rerank.truncate, rerank.wish.ctx) == (None, "q", 3, True, 512)
    for words in (["embed", "m", "--as", "x"], ["embed", "m", "--pooling", "rank"], ["rerank", "m", "--top", "0"]):
        with pytest.raises(UsageError):
            parse(words, {}, {})


@pytest.mark.parametrize(
    ("asked", "use", "sentence"),
    [
        ({"messages": []}, Purpose.EMBED, "answers no prompts"),
        ({"texts": "a"}, Purpose.EMBED, "a list of strings"),
        ({"texts": ["a"], "query": "q"}, Purpose.EMBED, "ranks no texts"),
        ({"texts": ["a"]}, Purpose.RANK, "ranks texts for a query"),
        ({"texts": ["a"], "role": "x"}, Purpose.EMBED, "query, document"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(asked: object, use: Purpose, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        command_of(asked, use, None)


def test_a_request_is_a_command() -> None:
    nomic = prefixes_of({}, ("nomic-embed-text",))
    asked = {"texts": ["a"], "role": "document", "truncate": True}
    assert command_of(asked, Purpose.EMBED, nomic) == Embed(("search_document: a",), truncate=True)
    assert command_of({"texts": ["a"], "query": "q"}, Purpose.RANK, None) == Score("q", ("a",))


def test_what_is_said_of_prefixes_progress_and_refusals() -> None:
    nomic, plain = prefixes_of({}, ("nomic-embed-text",)), prefixes_of({}, ("bge-m3",))
    assert "--as query" in str(prefix_note(nomic, None)) and "'search_query: '" in str(
        prefix_note(nomic, TextRole.QUERY)
    )
    assert prefix_note(plain, None) is prefix_note(plain, TextRole.QUERY) is prefix_note(None, None) is None
    assert "not known" in str(prefix_note(None, TextRole.DOCUMENT))
    done = Tally(1200, 8200, 2.0, 0.25)
    assert progress_line(done) == "1,200 texts · 25% · 4100 tok/s · 6.0 s left"
    assert end_line(done) == "1,200 texts, 8,200 tokens in 2.0 s (4100 tok/s)"
    assert "--truncate" in refused([row(1, refusal="long")], 2)
    assert "--truncate" not in refused([Row(TextLine(1, "1", "", "wrong"), None)], 2)
