"""What a chat template is taken from, and what it is told besides the conversation. Pure data."""

from dataclasses import dataclass

from runner.types.tools import Tool


@dataclass(frozen=True, slots=True)
class Templating:
    """`text` None: the template in the model's file; `source` says whence another one is, for people.

    `variables` is a JSON object: what the template may read by these names. `yields`: where this one cannot
    be used the one in the file is, which is said. `tools` are what the model may call.
    """

    text: str | None = None
    source: str = ""
    variables: str = "{}"
    yields: bool = False
    tools: tuple[Tool, ...] = ()
