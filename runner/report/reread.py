"""Why much of a prompt was read anew, as far as what was asked before and is asked now shows it. Pure."""

from collections.abc import Sequence

from runner.types.generation import Chunk, Message

_MUCH = 512  # tokens
_SHARE = 0.5  # of the prompt
_LOST = 64  # tokens: as many are worth a word
_NO_WAY_BACK = "the model's cache could not go back to where they part"


def no_way_back(last: Chunk) -> str | None:
    """Why tokens were read anew that the cache had held; None where they were few."""
    return _NO_WAY_BACK if last.shared_tokens - last.cached_tokens >= _LOST else None


def reread_reason(before: Sequence[Message] | None, now: Sequence[Message], last: Chunk) -> str | None:
    """A few words; None where little was. `before` is what this engine was asked last, None: nothing."""
    anew = last.prompt_tokens - last.cached_tokens
    if anew < max(_MUCH, _SHARE * last.prompt_tokens):
        return None
    if last.shared_tokens - last.cached_tokens >= _SHARE * anew:
        return _NO_WAY_BACK
    if before is None:
        return "the engine had read nothing of it"
    old, new = [_words(one) for one in before], [_words(one) for one in now]
    shared = next((place for place, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), len(old))
    is_long = _letters(new[shared:]) >= _SHARE * _letters(new)
    if is_long and shared >= min(len(old), len(new) - 1):  # nothing before it is another
        return "the new message is long"
    return "the cache held no more of it" if shared >= len(old) else _change(old, new, shared)


def _letters(messages: Sequence[tuple[str, str]]) -> int:
    return sum(len(text) for _, text in messages)


def _words(message: Message) -> tuple[str, str]:
    return message.role, message.content


def _change(old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]], shared: int) -> str:
    """What differs, from the first message that does."""
    systems = [[one for one in messages if one[0] == "system"] for messages in (old, new)]
    if systems[0] != systems[1]:
        return "the system prompt is another"
    said = [[one for one in messages if one[0] != "system"] for messages in (old, new)]
    if said[1] and said[1][0] in said[0][1:]:
        return "the oldest turns were left out"
    return "an earlier message is another" if shared > len(systems[0]) else "another conversation was read last"
