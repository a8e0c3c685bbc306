"""Everything that can go wrong, as one tree; each leaf says how the program ends. Pure.

    LocalrunError
    ├── EngineError         1   the engine failed
    │   ├── OutOfMemory     1   llama.cpp could not allocate, while loading or decoding; less may work
    │   │   ├── OutOfRam    1   the kernel ended the engine's process, for the host's memory ran out
    │   │   └── NoRoomToGuess 1 it was for the companion, which only makes answers faster
    │   ├── EngineKilled    1   the engine's process was killed from outside: the kernel, or a person
    │   ├── EngineHung      1   the engine did nothing for longer than any step takes, and was ended
    │   └── DeviceLost      1   a device is gone or does not answer: driver, suspend, another machine
    ├── UsageError          2   the command line or the configuration is not understood
    │   └── PromptTooLong   2   the prompt has more tokens than the context
    ├── ModelError          3   no such model, or the file is not a usable GGUF
    │   ├── ModelNotFound   3
    │   └── BadFile         3
    ├── DownloadError       4   network, authentication, offline, digest, disk full
    ├── DoesNotFit          5   no candidate runs on this machine
    └── Declined          130   the person said no to a question

The message is one sentence for a person, with the next step where there is one.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """How the program ends (contract: streams and exit codes)."""

    OK = 0
    ENGINE = 1
    USAGE = 2
    MODEL = 3
    DOWNLOAD = 4
    DOES_NOT_FIT = 5
    INTERRUPTED = 130


class LocalrunError(Exception):
    """The root; `exit_code` is what the command returns."""

    exit_code: ExitCode = ExitCode.ENGINE


class EngineError(LocalrunError):
    """The engine failed."""

    came_before: bool = False
    """Whether it ended before it took up the command that is told so: another engine may be asked the same."""


class OutOfMemory(EngineError):  # noqa: N818
    """llama.cpp could not allocate what a placement needs; a smaller one may work."""


class OutOfRam(OutOfMemory):
    """The kernel ended the engine's process, for the host's memory ran out."""


class NoRoomToGuess(OutOfMemory):
    """llama.cpp could not allocate what the companion needs; the model alone has found its room."""


class EngineKilled(EngineError):  # noqa: N818
    """The engine's process was killed from outside: by the kernel for want of memory, or by a person."""


class EngineHung(EngineError):  # noqa: N818
    """The engine did nothing, or said nothing, for longer than any step takes; it was ended."""


class DeviceLost(EngineError):  # noqa: N818
    """A device is gone or does not answer: a driver that was reset, a machine that went away."""


class UsageError(LocalrunError):
    """The command line or the configuration is not understood."""

    exit_code = ExitCode.USAGE


class PromptTooLong(UsageError):  # noqa: N818
    """The prompt has more tokens than the context holds."""


class ModelError(LocalrunError):
    """The model does not exist or cannot be used."""

    exit_code = ExitCode.MODEL


class ModelNotFound(ModelError):  # noqa: N818
    """No model of that name."""


class BadFile(ModelError):  # noqa: N818
    """Not a GGUF file that can be used: empty, cut, damaged or of an unknown version."""


class DownloadError(LocalrunError):
    """Network, authentication, offline, a wrong digest, a full disk."""

    exit_code = ExitCode.DOWNLOAD


class DoesNotFit(LocalrunError):  # noqa: N818
    """No candidate runs on this machine."""

    exit_code = ExitCode.DOES_NOT_FIT


class Declined(LocalrunError):  # noqa: N818
    """The person said no to a question."""

    exit_code = ExitCode.INTERRUPTED
