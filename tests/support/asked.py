"""What the clients of every dialect ask the real small model."""

from typing import Any

from pydantic import BaseModel

from runner.types.templating import Templating

MODEL = "smollm2-135m"
QUESTION = "What is the capital of France?"
COUNTRY: dict[str, Any] = {
    "type": "object",
    "properties": {"country": {"enum": ["France", "Spain"]}},
    "required": ["country"],
}
"""What a tool is called with."""
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
