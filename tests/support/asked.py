"""What the clients of every dialect ask the real small model."""

from typing import Any

from pydantic import BaseModel

from runner.types.templating import Templating

MODEL = "smollm2-135m"
QUESTION = "What is the capital of France?"
DAYS = "Name the days of the week."  # no word of its answer has a rival that the rounding of another batch could prefer
FRAMED = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
)
"""The question as the template of the model has it."""
STORY = "Tell a very long story."
"""Its answer is long enough to be left."""
COUNTRY: dict[str, Any] = {
    "type": "object",
    "properties": {"country": {"enum": ["France", "Spain"]}},
    "required": ["country"],
}
"""What a tool is called with."""
CALLING: list[dict[str, Any]] = [
    turn
    for country in ("Spain", "Italy")
    for turn in (
        {"role": "user", "content": f"What is the capital of {country}?"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "capital", "arguments": {"country": country}}}]},
    )
]
CALLING.append({"role": "user", "content": QUESTION})
"""A conversation in Ollama's words that leads even a small model to call once more, of its own accord."""
THINKS = Templating(
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\n<think>\n' }}",
    "test",
)
"""A template that opens thinking."""


class Answer(BaseModel):
    """What is asked for as JSON."""

    city: str
    is_large: bool
