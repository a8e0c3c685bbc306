"""The fields of a JSON object, each read once: what is wrong is refused by its name, and so is what nobody has read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from models.errors import UsageError
from runner.api.errors import invalid
from runner.types.sampling import BESIDES, Sampling, with_setting, with_settings

_BESIDES = {name: name for name in BESIDES}


class Fields:
    """`path` is where the object stands in the request. A null is as good as a field that is not there."""

    def __init__(self, said: Any, path: str = "") -> None:
        if not isinstance(said, dict):
            raise invalid(path or "body", "it is a JSON object.")
        self._left: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
        self._path = path

    def place(self, name: str) -> str:
        """A field's name as a person finds it in the request."""
        return f"{self._path}.{name}" if self._path else name

    def take(self, name: str) -> Any:
        """Whatever it is; None where it is not there."""
        return self._left.pop(name, None)

    def text(self, name: str) -> str | None:
        """A text."""
        value = self.take(name)
        if value is not None and not isinstance(value, str):
            raise invalid(self.place(name), "it is a text.")
        return value

    def texts(self, name: str, most: int) -> tuple[str, ...]:
        """A text or a list of texts, of `most` at most; none where it is not there."""
        value = self.take(name)
        texts = self._listed(name, [value] if isinstance(value, str) else value, most)
        if not all(isinstance(text, str) for text in texts):
            raise invalid(self.place(name), "it is a text or a list of texts; tokens are not taken.")
        return tuple(texts)

    def needed_text(self, name: str) -> str:
        """A text that has to be there."""
        if (value := self.text(name)) is None:
            raise invalid(self.place(name), "it is missing.")
        return value

    def word(self, name: str, known: Collection[str]) -> str | None:
        """One of the words that are known."""
        word = self.text(name)
        if word is not None and word not in known:
            raise invalid(self.place(name), f"{word!r} is not one of {', '.join(known)}.")
        return word

    def needed_word(self, name: str, known: Collection[str]) -> str:
        """One of them, which has to be there."""
        if (word := self.word(name, known)) is None:
            raise invalid(self.place(name), "it is missing.")
        return word

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false; `default` where it is not there."""
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            raise invalid(self.place(name), "it is true or false.")
        return default if value is None else value

    def whole(self, name: str, low: int, high: int) -> int | None:
        """A whole number within bounds."""
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise invalid(self.place(name), f"it is a whole number from {low} to {high}.")
        return value

    def inner(self, name: str) -> Fields | None:
        """An object of its own."""
        value = self.take(name)
        return None if value is None else Fields(value, self.place(name))

    def objects(self, name: str, most: int) -> Iterator[Fields]:
        """A list of objects, of `most` at most; nothing where it is not there."""
        value = self.take(name)
        for index, one in enumerate(self._listed(name, value, most)):
            yield Fields(one, f"{self.place(name)}[{index}]")

    def parts(self, name: str, most: int) -> str | list[Fields]:
        """A text, or a list of objects; no text where it is not there."""
        value = self.take(name)
        if value is None or isinstance(value, str):
            return value or ""
        if not isinstance(value, list):
            raise invalid(self.place(name), "it is a text or a list of parts.")
        return [
            Fields(one, f"{self.place(name)}[{index}]") for index, one in enumerate(self._listed(name, value, most))
        ]

    def _listed(self, name: str, value: Any, most: int) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise invalid(self.place(name), "it is a list.")
        if len(value) > most:
            raise invalid(self.place(name), f"it has {len(value)} entries; at most {most} are taken.")
        return value

    def sampling(self, names: Mapping[str, str], sampling: Sampling) -> Sampling:
        """`sampling` with the settings that stand here; `names` are those of the fields, each with ours."""
        for name, ours in names.items():
            if (value := self.take(name)) is not None:
                try:
                    sampling = with_setting(sampling, ours, str(value), called=self.place(name))
                except UsageError as error:
                    raise invalid(self.place(name), str(error).removeprefix(f"{self.place(name)}: ")) from None
        return sampling

    def besides(self, sampling: Sampling, names: Mapping[str, str] = _BESIDES) -> Sampling:
        """`sampling` with those settings that are no single number or word; `names` as above."""
        for name, ours in names.items():
            try:
                sampling = with_settings(sampling, {ours: self.take(name)})
            except UsageError as error:
                raise invalid(self.place(name), str(error).removeprefix(f"{ours}: ")) from None
        return sampling

    def only(self, name: str, *allowed: object) -> None:
        """A field that asks for nothing unusual, or is refused."""
        value = self.take(name)
        if value is not None and value not in allowed:
            raise invalid(self.place(name), "this server cannot do that.")

    def idle(self, *names: str) -> None:
        """Fields that ask nothing of an answer."""
        for name in names:
            self.take(name)

    def done(self) -> None:
        """Nothing else may stand here."""
        for name in self._left:
            raise invalid(
                self.place(name), "this server does not know it, and does not pass over what it does not know."
            )
