"""Code and links of an answer, and files and long pastes of a question."""

from pathlib import Path

import pytest
from textual import events

from scripts.draw.scripted import turn
from tests.support.screens import answered, running, scripted
from tui.screens.chat import Chat
from tui.screens.copying import CopyDialog
from tui.screens.dialogs import Ask

CODE = "Two ways:\n\n```python\nprint(1)\n```\n\nor, as [here](https://example.org/a):\n\n```sh\necho 2\n```\n"


async def test_code_blocks_are_numbered_and_copied_by_number(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", [CODE])
        await answered(app, "two", ["Third:\n\n~~~\nls\n~~~\n"])
        await app.until_words("[3] text")
        assert "[1] python" in app.words() and "[2] sh" in app.words()
        await app.pilot.press("escape", "y")
        await app.until_screen(CopyDialog)
        assert "[1] python · print(1)" in app.words()
        await app.pilot.press("2")
        await app.until_told("Code block 2 is in the clipboard.")
        assert app.pilot.app.clipboard == "echo 2\n"
        await app.pilot.press("i")
        await app.say("/copy 4")
        await app.until_told("1 to 3, not '4'")
        await app.pilot.press("ctrl+y")
        await app.until_screen(CopyDialog)
        await app.pilot.press("enter")
        await app.until_told("The last answer is in the clipboard.")


async def test_numbers_of_two_digits_wait_for_the_second(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", [f"```\n{n}\n```\n" for n in range(1, 13)])
        for keys, copied in (("12", "12"), ("3", "3"), ("01", "1")):
            await app.pilot.press("ctrl+y")
            await app.until_screen(CopyDialog)
            await app.pilot.press(*keys, *(["enter"] if copied == "1" else []))
            await app.until_told(f"Code block {copied} is in the clipboard.")


async def test_tab_walks_over_code_blocks_and_links(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", [CODE])
        await app.pilot.press("escape", "tab")
        await app.until_words("1 of 3  [1] python · print(1)   y copies it")
        await app.pilot.press("tab")
        await app.until_words("2 of 3  https://example.org/a")
        await app.pilot.press("y")
        await app.until_told("The link is in the clipboard.")
        assert app.pilot.app.clipboard == "https://example.org/a"
        await app.pilot.press("shift+tab", "shift+tab")
        await app.until_words("3 of 3  [2] sh")


async def test_a_file_goes_with_a_message_and_is_folded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("first line\nsecond line\n" * 20)
    (tmp_path / "my big.txt").write_text("word " * 10_000)
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await app.pilot.press(*"What is @n")
        await app.until(lambda: "notes.txt" in app.shown("#hint"))
        await app.pilot.press("tab")
        assert app.composer.text == "What is @notes.txt"
        await app.until(lambda: app.shown("#hint") == "notes.txt: 119 tokens · with that 123 of 8,192: it fits")
        app.session.script = [turn(["Lines."])]
        await app.pilot.press("enter")
        await app.until(lambda: bool(app.session.asked))
        text = "first line\nsecond line\n" * 20
        assert app.session.asked[0][0][-1].content == f"notes.txt:\n```\n{text}```\n\nWhat is @notes.txt"
        await app.until_words("notes.txt · 40 lines")
        assert "second line" not in app.words()
        await app.until(lambda: app.shown(".note").endswith("complete"))
        await app.pilot.press("ctrl+b")
        assert app.composer.text == "What is @notes.txt"
        await app.pilot.press("escape")
        app.composer.put('@"my big.txt"')
        await app.until(lambda: app.shown("#hint").endswith("tokens too many"))
        assert "my big.txt: 12,5" in app.shown("#hint")


async def test_a_file_that_is_no_text_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.bin").write_bytes(b"\0\1")
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await app.say("Read @a.bin and @nobody")
        await app.until_told("it is not text")
        assert app.composer.text == "Read @a.bin and @nobody"
        assert not app.session.asked


async def test_a_pasted_path_becomes_a_mention(tmp_path: Path) -> None:
    file = tmp_path / "my notes.txt"
    file.write_text("text")
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        app.pilot.app.post_message(events.Paste(f"file://{str(file).replace(' ', '%20')}\n"))
        await app.until(lambda: app.composer.text == f'@"{file}" ')
        app.composer.put("")
        app.pilot.app.post_message(events.Paste("no such file"))
        await app.until(lambda: app.composer.text == "no such file")


async def test_a_paste_of_100_kb_is_kept_aside_and_sent_whole(tmp_path: Path) -> None:
    pasted = "0123456789abcde\n" * 6400
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        app.session.script = [turn(["Long."])]
        app.pilot.app.post_message(events.Paste(pasted.replace("\n", "\r")))
        await app.until(lambda: app.composer.text == "[pasted 1: 6,401 lines, 102,400 characters]")
        await app.pilot.press("!", "enter")
        await app.until_screen(Ask)  # it does not fit
        await app.pilot.press("escape")
        await app.until(lambda: app.composer.text.endswith("characters]!"))
        app.session.count_tokens = lambda messages: 40  # type: ignore[method-assign]
        await app.pilot.press("enter")
        await app.until(lambda: bool(app.session.asked))
        assert app.session.asked[0][0][-1].content == pasted + "!"


async def test_a_command_with_files_waits_for_the_question(tmp_path: Path) -> None:
    notes = tmp_path / "my notes.txt"
    notes.write_text("Salt.")
    async with running(scripted(tmp_path), files=(notes,)) as app:
        await app.until_screen(Chat)
        assert app.composer.text == f'@"{notes}" '
        app.composer.insert("Why?")
        await app.pilot.press("enter")
        await app.until(lambda: bool(app.session.asked))
        [message] = app.session.asked[0][0]
        assert message.content == f'{notes}:\n```\nSalt.\n```\n\n@"{notes}" Why?'


async def test_a_file_that_is_not_there_is_said_before_it_is_sent(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        for written, said in (
            ("About @nope.txt please", "no file nope.txt"),
            ("Hi @ada", ""),
            ("/tools @nope.txt", ""),
        ):
            app.composer.put(written)
            await app.until(lambda said=said: bool(said) == bool(app.shown("#hint")) and said in app.shown("#hint"))  # type: ignore[misc]
