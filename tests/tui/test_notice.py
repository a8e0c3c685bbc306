"""Who is told that a long answer has ended, and in which words; the program is a script that keeps what it hears."""

from pathlib import Path

import pytest

from tui.notice import notice_program, notice_sequence, run_notice

EVIL = "a\x1b]52;c;eA==\x07;b\u202e\nc <b>"
SHOWN = "a␛]52;c;eA==␇;b⟨202E⟩ c <b>"


@pytest.mark.parametrize(
    ("environment", "sequence"),
    [
        ({"TERM_PROGRAM": "ghostty"}, f"\x1b]9;localrun: {SHOWN}\a"),
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, f"\x1b]9;localrun: {SHOWN}\a"),
        ({"TERM": "foot"}, f"\x1b]777;notify;localrun;{SHOWN}\a"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, f"\x1b]777;notify;localrun;{SHOWN}\a"),
        ({"TERM": "foot", "TMUX": "/tmp/x"}, f"\x1bPtmux;\x1b\x1b]777;notify;localrun;{SHOWN}\a\x1b\\"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "linux"}, None),
    ],
)
def test_a_terminal_gets_what_it_is_known_to_show_and_nothing_that_steers_it(
    environment: dict[str, str], sequence: str | None
) -> None:
    assert notice_sequence(EVIL, environment) == sequence


def test_a_program_shows_it_where_somebody_sits_at_its_desktop(tmp_path: Path) -> None:
    for name in ("notify-send", "osascript"):
        here = tmp_path / name
        here.mkdir()
        (here / name).write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {tmp_path}/heard\n')
        (here / name).chmod(0o700)
    linux, mac = ({"PATH": str(tmp_path / name)} for name in ("notify-send", "osascript"))
    assert notice_program("done", linux) is None
    assert notice_program("done", {**linux, "DISPLAY": ":0", "SSH_CONNECTION": "1"}) is None
    command = notice_program(EVIL, {**linux, "WAYLAND_DISPLAY": "wayland-0"})
    assert command is not None
    run_notice((str(tmp_path / "notify-send/notify-send"), *command[1:]))
    marked = SHOWN.replace("<b>", "&lt;b&gt;")
    assert (tmp_path / "heard").read_text() == f"--app-name|localrun|--|localrun|{marked}|"
    assert (notice_program("-e quit", mac) or ())[-2:] == ("end run", "-e quit")


def test_a_program_that_is_gone_is_no_error(tmp_path: Path) -> None:
    run_notice((str(tmp_path / "nobody"), "done"))
