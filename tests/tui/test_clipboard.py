"""The platform's own program, which is a script that keeps what it hears."""

from pathlib import Path

import pytest

from tui.clipboard import copy_by_program, program


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all there are; only what is in it is found."""
    for name in ("wl-copy", "xclip", "xsel", "clip.exe"):
        (tmp_path / name).write_text(f"#!/bin/sh\n/bin/cat > {tmp_path}/heard\n")
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("WAYLAND_DISPLAY", "DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("variable", "command"),
    [
        ("WAYLAND_DISPLAY", ("wl-copy",)),
        ("DISPLAY", ("xclip", "-selection", "clipboard")),
        ("WSL_DISTRO_NAME", ("clip.exe",)),
        ("SSH_TTY", None),
    ],
)
def test_the_one_that_somebody_listens_to(programs: Path, variable: str, command: tuple[str, ...] | None) -> None:
    assert program({"PATH": str(programs), variable: "1"}) == command


def test_it_hears_the_text(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_by_program("nobody listens")
    assert not (programs / "heard").exists()
    monkeypatch.setenv("DISPLAY", ":0")
    copy_by_program("größe\n")
    assert (programs / "heard").read_text() == "größe\n"


def test_a_program_that_refuses_is_no_error(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    (programs / "xclip").write_text("#!/bin/sh\nexit 1\n")
    copy_by_program("x" * 1_000_000)
    assert not (programs / "heard").exists()
