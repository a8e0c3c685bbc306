"""What shells complete behind `localrun`, as scripts made from the table of flags."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.names import catalog
from runner.cli.flags import GROUPS, MODEL, POSITIONALS, RUN, Flag
from runner.cli.subcommands import COMMANDS


@dataclass(frozen=True, slots=True)
class Behind:
    """What may stand behind one command (RUN: behind `localrun` itself): a word, files too, flags."""

    command: str
    words: tuple[str, ...]
    takes_files: bool
    flags: tuple[Flag, ...]


def script(shell: str) -> str:
    """The completions as a script for one of SHELLS."""
    return "\n".join(SHELLS[shell]([*map(_behind, (RUN, *COMMANDS))]))


def _behind(command: str) -> Behind:
    positional = POSITIONALS.get(command, MODEL)
    is_model = positional is not None and positional.key == MODEL.key
    words = positional.words if positional else ()
    if is_model:
        words = tuple(entry.name for entry in catalog.entries())
    flags = {flag.name: flag for group in GROUPS if command in group.commands for flag in group.flags}
    shown = tuple(flag for flag in flags.values() if flag.help != argparse.SUPPRESS)
    takes_files = is_model or command == "conversation"
    return Behind(command, (*COMMANDS, *words) if command == RUN else words, takes_files, shown)


def _spellings(flag: Flag) -> tuple[str, ...]:
    return (*([flag.short] if flag.short else []), f"--{flag.name}")


def _any(names: Sequence[str]) -> str:
    return "|".join(names)


def _quoted(text: str) -> str:
    """As it stands between single quotes of bash and zsh."""
    return text.replace("'", "'\\''")


# ---- bash: where nothing is found it completes files by itself


def _bash(commands: Sequence[Behind]) -> Iterator[str]:
    flags = {flag.name: flag for one in commands for flag in one.flags}.values()
    free = [name for flag in flags if flag.read and not flag.words and flag.bare is None for name in _spellings(flag)]
    yield "# localrun completion bash > ~/.local/share/bash-completion/completions/localrun"
    yield "_localrun() {"
    yield "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=run words='' flags=''"
    yield "    if ((COMP_CWORD > 1)); then"
    yield f"        case ${{COMP_WORDS[1]}} in {_any(COMMANDS)}) command=${{COMP_WORDS[1]}};; esac"
    yield "    fi"
    yield "    COMPREPLY=()"
    yield "    case $before in"
    for flag in flags:
        if flag.words:
            yield f"        {_any(_spellings(flag))}) {_bash_reply(' '.join(flag.words))}; return;;"
    yield f"        {_any(free)}) return;;"
    yield "    esac"
    yield "    case $command in"
    for one in commands:
        names = " ".join(name for flag in one.flags for name in _spellings(flag))
        yield f"        {one.command}) words='{' '.join(one.words)}' flags='{names}';;"
    yield "    esac"
    yield "    [[ $word == -* ]] && words=$flags"
    yield f"    {_bash_reply('$words')}"
    yield "}"
    yield "complete -o default -F _localrun localrun"


def _bash_reply(words: str) -> str:
    return f'COMPREPLY=($(compgen -W "{words}" -- "$word"))'


# ---- zsh


def _zsh(commands: Sequence[Behind]) -> Iterator[str]:
    yield "#compdef localrun"
    yield "# localrun completion zsh > a file _localrun in a folder of $fpath"
    yield '_localrun_words() { compadd -- "$@"; _files }'
    yield "_localrun() {"
    yield "  local command=run"
    yield "  if (( CURRENT > 2 )); then"
    yield f"    case $words[2] in ({_any(COMMANDS)}) command=$words[2]; shift words; (( CURRENT-- ));; esac"
    yield "  fi"
    yield "  case $command in"
    for one in commands:
        yield " ".join([f"    ({one.command}) _arguments", *map(_zsh_flag, one.flags), _zsh_words(one), ";;"])
    yield "  esac"
    yield "}"
    yield 'if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _localrun "$@"; else compdef _localrun localrun; fi'


def _zsh_flag(flag: Flag) -> str:
    names = _spellings(flag)
    before = "*" if flag.repeats else f"({' '.join(names)})"
    help = "".join(f"\\{one}" if one in "[]:\\" else one for one in flag.help)
    value = "" if flag.read is None else f"{':' if flag.bare is None else '::'}{flag.metavar}:{_zsh_value(flag)}"
    return " ".join(_zsh_word(f"{before}{name}[{help}]{value}") for name in names)


def _zsh_value(flag: Flag) -> str:
    return f"({' '.join(flag.words)})" if flag.words else "_files" if flag.read is Path else " "


def _zsh_words(one: Behind) -> str:
    """The first word, or a file instead of it; files behind it."""
    words = " ".join(one.words)
    if one.takes_files:
        return " ".join(map(_zsh_word, (f"1: : _localrun_words {words}", "*: :_files")))
    return _zsh_word(f"1: :({words})" if words else "*: : ")


def _zsh_word(text: str) -> str:
    return f"'{_quoted(text)}'"


# ---- fish


def _fish(commands: Sequence[Behind]) -> Iterator[str]:
    yield "# localrun completion fish > ~/.config/fish/completions/localrun.fish"
    yield "function __localrun_command"
    yield "    set -l typed (commandline -opc)"
    yield f'    if contains -- "$typed[2]" {" ".join(COMMANDS)}; echo $typed[2]; else; echo run; end'
    yield "end"
    yield "function __localrun_is; test (__localrun_command) = $argv[1]; end"
    yield "function __localrun_word; __localrun_is $argv[1]; and test (count (commandline -opc)) -eq $argv[2]; end"
    yield "complete -c localrun -f"
    for one in commands:
        if one.words:
            place = 1 if one.command == RUN else 2
            yield f"complete -c localrun -n '__localrun_word {one.command} {place}' -a '{' '.join(one.words)}'"
        here = f"complete -c localrun -n '__localrun_is {one.command}'"
        if one.takes_files:
            yield f"{here} -F"
        for flag in one.flags:
            yield f"{here} {_fish_flag(flag)}"


def _fish_flag(flag: Flag) -> str:
    names = f"{f'-s {flag.short[1:]} ' if flag.short else ''}-l {flag.name}"
    help = flag.help.replace("\\", "\\\\").replace("'", "\\'")
    return f"{names}{_fish_value(flag)} -d '{help}'"


def _fish_value(flag: Flag) -> str:
    if flag.read is None or flag.bare is not None:
        return ""
    return f" -x -a '{' '.join(flag.words)}'" if flag.words else " -r -F" if flag.read is Path else " -x"


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
