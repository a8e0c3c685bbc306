"""Tokenizers of made-up words, as large as real ones."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import islice

from models.headers.gguf_bytes import STRING
from scripts.synthetic.typed import F32, I32, U32, Typed

# Merges per token of the tokenizers in use: Llama 3 has 280,147 for 128,256 tokens.
_MERGES_PER_TOKEN = 2.18
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_SYLLABLES = tuple(a + b for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er"))


def _words() -> Iterator[str]:
    """Endless distinct made-up words, short ones first, every other one with a leading space mark."""
    words: list[str] = [""]
    while True:
        words = [word + syllable for word in words for syllable in _SYLLABLES]
        for word in words:
            yield word
            yield "▁" + word


@cache
def _bpe(vocabulary: int, pre: str) -> dict[str, Typed]:
    control = ["<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>"]
    letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 324))]
    count = vocabulary - len(letters) - len(control)
    words = [word.replace("▁", "Ġ") for word in islice(_words(), count)]
    tokens = [*letters, *words, *control]
    kinds = [_NORMAL] * (vocabulary - len(control)) + [_CONTROL] * len(control)
    merges = [*islice(_merges(words), int(vocabulary * _MERGES_PER_TOKEN))]
    return {
        "tokenizer.ggml.model": Typed(STRING, "gpt2"),
        "tokenizer.ggml.pre": Typed(STRING, pre),
        "tokenizer.ggml.tokens": Typed(STRING, tokens),
        "tokenizer.ggml.token_type": Typed(I32, kinds),
        "tokenizer.ggml.merges": Typed(STRING, merges),
        "tokenizer.ggml.bos_token_id": Typed(U32, vocabulary - 4),
        "tokenizer.ggml.eos_token_id": Typed(U32, vocabulary - 1),
    }


def _merges(words: Iterable[str]) -> Iterator[str]:
    """Every way to join a word from two parts."""
    for word in words:
        for cut in range(1, min(len(word), 4)):
            yield f"{word[:cut]} {word[cut:]}"


@cache
def _spm(vocabulary: int, pre: str) -> dict[str, Typed]:
    head = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    control = ["<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
    words = [*islice(_words(), vocabulary - len(head) - len(control))]
    tokens = [*head, *words, *control]
    kinds = [_UNKNOWN, _CONTROL, _CONTROL] + [_BYTE] * 256 + [_NORMAL] * len(words) + [_CONTROL] * len(control)
    return {
        "tokenizer.ggml.model": Typed(STRING, "llama"),
        "tokenizer.ggml.tokens": Typed(STRING, tokens),
        "tokenizer.ggml.scores": Typed(F32, [-float(i) for i in range(len(tokens))]),
        "tokenizer.ggml.token_type": Typed(I32, kinds),
        "tokenizer.ggml.bos_token_id": Typed(U32, 1),
        "tokenizer.ggml.eos_token_id": Typed(U32, 2),
    }


TOKENIZERS: Mapping[str, Callable[[int, str], dict[str, Typed]]] = {"bpe": _bpe, "spm": _spm}
