"""Whether the token numbers of one model mean the same to another, as far as headers tell. Pure.

What a small model guesses is checked by its numbers. Source: `common_speculative_are_compatible` of llama.cpp's
common/speculative.cpp: one kind of tokenizer, no more than 128 numbers of difference at the end, and the same texts. Of
a long list of texts a header keeps how many bytes it takes; the engine compares them all.
"""

from models.headers.gguf import Array, Header, Value

MOST_MORE = 128  # tokens that one may have more, which are in no text (SPEC_VOCAB_MAX_SIZE_DIFFERENCE)
_TOKENS = "tokenizer.ggml.tokens"
_MARKS = {"tokenizer.ggml.bos_token_id": "begin a text with", "tokenizer.ggml.eos_token_id": "end one with"}


def difference(one: Header, other: Header) -> str | None:
    """In what two vocabularies differ, as the end of a sentence about both; None where no header says so."""
    kinds = [_text(header.kv.get("tokenizer.ggml.model")) for header in (one, other)]
    if kinds[0] != kinds[1]:
        return f"their tokenizers are of two kinds ({kinds[0]} and {kinds[1]})"
    tokens = [header.kv.get(_TOKENS) for header in (one, other)]
    if isinstance(first := tokens[0], Array) and isinstance(second := tokens[1], Array):
        if abs(first.count - second.count) > MOST_MORE:
            return f"one has {first.count:,} tokens, the other {second.count:,}"
        if _differ(first, second):
            return f"not all of their {first.count:,} tokens are the same texts"
    for key, said in _MARKS.items():
        marks = [header.kv.get(key) for header in (one, other)]
        if None not in marks and marks[0] != marks[1]:
            return f"they {said} different tokens ({marks[0]} and {marks[1]})"
    return None


def _text(value: Value | None) -> str:
    return value if isinstance(value, str) else "none"


def _differ(one: Array, other: Array) -> bool:
    if one.values is not None and other.values is not None:
        count = min(one.count, other.count)
        return one.values[:count] != other.values[:count]
    return one.count == other.count and one.end - one.offset != other.end - other.offset
