"""`/api/generate`: an answer to one prompt, a text that is gone on with as it is, or whose gap is filled."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from runner.api.asked import Asked
from runner.api.desk import Desk
from runner.api.errors import invalid
from runner.api.fields import Fields
from runner.api.ollama.answering import answered, loaded, read_common
from runner.api.ollama.answers import Shape
from runner.api.ollama.messages import refuse_images
from runner.api.ollama.names import read_model
from runner.types.generation import Gap, Marked, Message
from runner.types.sampling import Sampling


async def generate(desk: Desk, request: Request) -> Response:
    """The answer; to an empty prompt the model is loaded, or unloaded."""
    fields = Fields(await desk.read(request))
    name, known = await read_model(fields, desk)
    is_streamed, asked = read_common(fields, desk, known)
    refuse_images(fields)
    if fields.take("context"):
        raise invalid("context", "this server gives none and takes none; /api/chat takes a conversation.")
    prompt = fields.text("prompt") or ""
    asked = _with_prompt(fields, asked, prompt, desk.limits.schema)
    fields.done()
    shape = Shape(name, asked, is_chat=False)
    if not prompt:
        return await loaded(desk, request, asked, shape)
    return await answered(desk, request, asked, shape, is_streamed=is_streamed)


def _with_prompt(fields: Fields, asked: Asked, prompt: str, most: int) -> Asked:
    """As a question behind a system prompt, by the model's template or another; or as it is."""
    suffix, is_raw = fields.text("suffix"), fields.flag("raw")
    system, template = fields.text("system"), fields.text("template")
    if not (suffix or is_raw):
        history = (Message("system", system),) if system else ()
        messages = (*history, Message("user", prompt))
        return replace(asked, messages=messages, sampling=_with_template(asked.sampling, template, most))
    for field, said in (("system", system), ("template", template), ("think", asked.thinks)):
        if said:
            raise invalid(field, "a prompt that is raw or has a suffix goes to the model as it is.")
    return replace(asked, raw=Gap(prompt, suffix) if suffix else Marked(prompt))


def _with_template(sampling: Sampling, template: str | None, most: int) -> Sampling:
    if not template:
        return sampling
    if len(template) > most:
        raise invalid("template", f"it has {len(template)} letters; at most {most} are taken.")
    return replace(sampling, templating=replace(sampling.templating, text=template, source="template"))
