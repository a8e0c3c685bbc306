"""How tokens are drawn, and the one reader of these settings wherever people write them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from models.errors import UsageError
from models.headers.recommended import Recommended
from models.weights import Modelfile
from runner.types.numbers import parse_number
from runner.types.templating import Templating
from runner.types.thinking import Think
from runner.types.tools import Calling


@dataclass(frozen=True, slots=True)
class Chain:
    """The numbers of llama.cpp's chain of samplers, with its own defaults."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is to be made, as far as somebody said so; None: as the model's maker recommends, else `Chain`.

    `think` None is AUTO; at most `think_budget` tokens of an answer are thinking. `seed` None: a fresh one, which the
    answer reports. `max_tokens` None: until the end or a full context. `grammar` is GBNF; `schema` (JSON text) what a
    whole answer is checked against. `calling` is how the tools of `templating` may be called. `logit_bias`: tokens,
    each with what its logit is raised by.
    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    grammar: str | None = None
    schema: str | None = None
    logprobs: int | None = None
    think: Think | None = None
    think_budget: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    templating: Templating = Templating()  # noqa: RUF009
    calling: Calling = Calling()  # noqa: RUF009

    @property
    def chain(self) -> Chain:
        """What is said here, over llama.cpp's defaults."""
        said = {one.name: getattr(self, one.name) for one in fields(Chain)}
        return Chain(**{name: value for name, value in said.items() if value is not None})


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    """On the command line and behind `/set`."""
    field: str

    @property
    def key(self) -> str:
        """Its name in Python, JSON, config.toml and, in capitals, behind LOCALRUN_."""
        return self.name.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Setting(_Named):
    """One number of Sampling as people write it, from `low` to `high`, both included."""

    kind: type[int] | type[float]
    low: float
    high: float
    help: str

    def read(self, text: str) -> float | None:
        """Its value, None where `off` returns it to automatic. Raises UsageError, without the setting's name."""
        if text == "off":
            return None
        return parse_number(text, self.kind, self.low, self.high)


@dataclass(frozen=True, slots=True)
class WordSetting(_Named):
    """One word of Sampling as people write it."""

    words: type[StrEnum]
    help: str

    def read(self, text: str) -> StrEnum:
        """Its value. Raises UsageError, without the setting's name."""
        try:
            return self.words(text.lower())
        except ValueError:
            raise UsageError(f"{text!r} is not one of {', '.join(self.words)}.") from None


SETTINGS = (
    Setting("temp", "temperature", float, 0, 10, "temperature; 0 always takes the likeliest token (default 0.8)"),
    Setting("top-p", "top_p", float, 0, 1, "default 0.95"),
    Setting("top-k", "top_k", int, 0, 1_000_000, "default 40; 0: all"),
    Setting("min-p", "min_p", float, 0, 1, "default 0.05"),
    Setting("repeat-penalty", "repeat_penalty", float, 0, 10, "default 1: none; 0: none"),
    Setting("frequency-penalty", "frequency_penalty", float, -2, 2, "for each time that the answer had a token"),
    Setting("presence-penalty", "presence_penalty", float, -2, 2, "for a token that the answer had at all"),
    Setting("seed", "seed", int, 0, 2**32 - 1, "for the same answer again"),
    Setting("max-tokens", "max_tokens", int, 1, 2**31 - 1, "default: until the model ends or the context is full"),
    Setting("logprobs", "logprobs", int, 0, 100, "in JSON: how likely each token was, and the likeliest N beside it"),
    Setting("think-budget", "think_budget", int, 0, 2**31 - 1, "at most N tokens of an answer are thinking"),
)
THINK = WordSetting(
    "think", "think", Think, "on, off, low, medium, high, auto: whether, how hard to think before the answer"
)
EVERY: tuple[Setting | WordSetting, ...] = (*SETTINGS, THINK)
_BY_KEY = {setting.key: setting for setting in EVERY}


MOST_BIAS = 100.0  # a token with that much less is never drawn
MOST_STOPS, LONGEST_STOP = 64, 4096  # texts, letters: each is looked for behind each token
BESIDES = ("stop", "logit_bias")
"""What a JSON object of settings may have besides EVERY."""

ASKED, DEFAULT = "asked", "default"


@dataclass(frozen=True, slots=True)
class InForce:
    """A setting as a model is run with it; `source` is ASKED, DEFAULT or that of a `Recommended`, as is `page`."""

    setting: Setting | WordSetting
    value: float | str | None
    source: str
    page: str | None = None


def in_force(asked: Sampling, recommended: Iterable[Recommended] = ()) -> tuple[InForce, ...]:
    """Every setting with whence it is: what was asked, else what is recommended, else llama.cpp's default.

    A recommendation beyond the bounds of its setting counts as the bound.
    """
    wanted = {one.setting: one for one in recommended}
    return tuple(_in_force(setting, getattr(asked, setting.field), wanted.get(setting.key)) for setting in EVERY)


def _in_force(setting: Setting | WordSetting, asked: float | str | None, wanted: Recommended | None) -> InForce:
    if asked is not None:
        return InForce(setting, asked, ASKED)
    if wanted is not None and isinstance(setting, Setting):
        value = setting.kind(min(max(wanted.value, setting.low), setting.high))
        return InForce(setting, value, wanted.source, wanted.page)
    return InForce(setting, getattr(Chain(), setting.field, None), DEFAULT)


def resolved(asked: Sampling, recommended: Iterable[Recommended]) -> Sampling:
    """`asked` with everything in force filled in."""
    values: dict[str, Any] = {one.setting.field: one.value for one in in_force(asked, recommended)}
    return replace(asked, **values)


def with_modelfile(sampling: Sampling, modelfile: Modelfile) -> Sampling:
    """`sampling` with the template and the stops of a Modelfile, where none were asked for."""
    templating = sampling.templating
    if templating.text is None and modelfile.template is not None:
        templating = replace(templating, text=modelfile.template, source="Ollama's chat template", yields=True)
    return replace(sampling, templating=templating, stop=sampling.stop or modelfile.stop)


def with_setting(sampling: Sampling, name: str, text: str, called: str | None = None) -> Sampling:
    """`sampling` with one setting as it was typed; its name with hyphens or underscores. Raises UsageError.

    `called`: what the person knows the setting as.
    """
    setting = _BY_KEY.get(name.replace("-", "_"))
    if setting is None:
        raise UsageError(f"There is no sampling setting {name!r}; there are {', '.join(one.name for one in EVERY)}.")
    try:
        change: dict[str, Any] = {setting.field: setting.read(text)}
    except UsageError as error:
        raise UsageError(f"{called or name}: {error}") from None
    return replace(sampling, **change)


def with_settings(sampling: Sampling, values: Mapping[str, object]) -> Sampling:
    """`sampling` with the settings of a JSON object; null asks for nothing.

    `stop` is a text or a list of them, `logit_bias` an object of numbers by token.
    """
    for name, value in values.items():
        if name == "stop" and value is not None:
            sampling = replace(sampling, stop=_texts(value))
        elif name == "logit_bias" and value is not None:
            sampling = replace(sampling, logit_bias=_biases(value))
        elif value is not None:
            sampling = with_setting(sampling, name, str(value))
    return sampling


def _texts(value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UsageError("stop: it is a text or a list of texts.")
    if len(texts) > MOST_STOPS:
        raise UsageError(f"stop: it has {len(texts)} texts; at most {MOST_STOPS} are taken.")
    try:
        return tuple(map(read_stop, texts))
    except UsageError as error:
        raise UsageError(f"stop: {error}") from None


def _biases(value: object) -> tuple[tuple[int, float], ...]:
    if not isinstance(value, Mapping):
        raise UsageError("logit_bias: it is an object of numbers by token.")
    try:
        pairs = [
            (int(parse_number(str(token), int, 0, 2**31 - 1)), parse_number(str(bias), float, -MOST_BIAS, MOST_BIAS))
            for token, bias in value.items()
        ]
    except UsageError as error:
        raise UsageError(f"logit_bias: {error}") from None
    return tuple(sorted(pairs))


def read_stop(text: str) -> str:
    """A text that ends an answer. UsageError for one that is too long, or none, which would end it before it begins."""
    if not text:
        raise UsageError("an empty text ends nothing.")
    if len(text) > LONGEST_STOP:
        raise UsageError(f"a text has {len(text)} letters; at most {LONGEST_STOP} are taken.")
    return text
