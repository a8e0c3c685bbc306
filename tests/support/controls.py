"""Control tokens of the families in models/headers/families.py, as their templates write them; vocabularies of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from models.headers.gguf_bytes import STRING
from scripts.synthetic.geometry import Attention
from scripts.synthetic.headers import entries, metadata, write
from scripts.synthetic.random_weights import Size, geometry
from scripts.synthetic.typed import F32, I32, U32, Typed

_CHATML = "<|im_start|> <|im_end|> <|endoftext|>"
_QWEN = f"{_CHATML} <|object_ref_start|> <|vision_start|> <|vision_end|> <|image_pad|> <|video_pad|>"
_DEEPSEEK = (
    "<｜begin▁of▁sentence｜> <｜end▁of▁sentence｜> <｜User｜> <｜Assistant｜> <｜tool▁calls▁begin｜> <｜tool▁sep｜>"
)
_MISTRAL = (
    "<s> </s> [INST] [/INST] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [AVAILABLE_TOOLS] [TOOL_CALLS] [IMG] [THINK] [/THINK]"
)
_GLM = "[gMASK] <sop> <|system|> <|user|> <|assistant|> <|observation|> <|endoftext|> <|begin_of_image|>"
_GEMMA = "<bos> <eos> <start_of_turn> <end_of_turn> <|turn> <turn|> <|channel> <channel|> <|tool_call> <tool_call|>"
_HARMONY = "<|start|> <|end|> <|message|> <|channel|> <|constrain|> <|return|> <|call|> <|endoftext|>"
_KIMI = "[BOS] [EOS] <|im_user|> <|im_assistant|> <|im_system|> <|im_middle|> <|im_end|> <|tool_calls_section_begin|>"
CONTROLS = {
    "DeepSeek R1": _DEEPSEEK,
    "DeepSeek V3": _DEEPSEEK,
    "DeepSeek V4": f"{_DEEPSEEK} ｜DSML｜",
    "Qwen 3.5 to 3.8": _QWEN,
    "Qwen3 Coder Next": _QWEN,
    "Qwen3 Coder": _QWEN,
    "Qwen3 Instruct": _QWEN,
    "Qwen3-VL Thinking": _QWEN,
    "Qwen3": _QWEN,
    "QwQ": _QWEN,
    "Qwen2.5": _QWEN,
    "Gemma": _GEMMA,
    "Muse Glimmer": "<|start|> <|message|> <|eom|> <|eot|> <|patch|>",
    "gpt-oss": _HARMONY,
    "GLM": _GLM,
    "Magistral": _MISTRAL,
    "Ministral 3": _MISTRAL,
    "Mistral Small": _MISTRAL,
    "Nemotron": f"{_CHATML} <SPECIAL_10> <SPECIAL_11> <SPECIAL_12>",
    "MiniMax": "]~!b[ ]~b] [e~[ <minimax:tool_call> </minimax:tool_call>",
    "Granite 4": "<|start_of_role|> <|end_of_role|> <|end_of_text|> <|tool_call|>",
    "Kimi K2": _KIMI,
    "Kimi K3": "<|open|> <|close|> <|sep|> <|end_of_msg|> <|kimi_image_placeholder|>",
    "Phi-4 reasoning": "<|im_start|> <|im_sep|> <|im_end|> <|system|> <|user|> <|assistant|> <|end|> <|dummy_1|>",
}
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_GEOMETRY = geometry("controls", Size(256, 1, 256, 512), Attention(4, 2, 64))


def bpe(folder: Path, controls: Sequence[str], more: Mapping[str, Typed] | None = None) -> Path:
    """A header whose vocabulary is every byte by itself, and these control tokens; `more` are further keys."""
    letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 324))]
    return _written(folder, "gpt2", letters, [_NORMAL] * len(letters), controls, more or {})


def sentencepiece(folder: Path, controls: Sequence[str]) -> Path:
    """The same as SentencePiece has it: it puts a space before a text."""
    letters = ["<unk>", "▁", *map(chr, range(33, 127)), *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [_UNKNOWN, *[_NORMAL] * 95, *[_BYTE] * 256]
    return _written(folder, "llama", letters, kinds, controls, {})


def _written(
    folder: Path,
    model: str,
    letters: Sequence[str],
    kinds: Sequence[int],
    controls: Sequence[str],
    more: Mapping[str, Typed],
) -> Path:
    fillers = [f"<filler {number}>" for number in range(_GEOMETRY.vocabulary - len(letters) - len(controls))]
    tokens, types = [*letters, *controls, *fillers], [*kinds, *[_CONTROL] * len(controls), *[_NORMAL] * len(fillers)]
    kv = {
        **metadata(_GEOMETRY, "F16", "none"),
        "tokenizer.ggml.model": Typed(STRING, model),
        "tokenizer.ggml.pre": Typed(STRING, "gpt-2"),
        "tokenizer.ggml.tokens": Typed(STRING, tokens),
        "tokenizer.ggml.token_type": Typed(I32, types),
        "tokenizer.ggml.scores": Typed(F32, [-float(number) for number in range(len(tokens))]),
        "tokenizer.ggml.merges": Typed(STRING, ["Ġ a"]),
        "tokenizer.ggml.eos_token_id": Typed(U32, len(letters)),
        **more,
    }
    return write(folder / f"{model}.gguf", kv, entries(_GEOMETRY, "F16"))
