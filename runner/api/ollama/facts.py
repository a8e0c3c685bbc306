"""What a model is, by the headers of its files: for lists, and for what may be asked of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from models.headers.describe import CHAT_TEMPLATE, Description, describe
from models.headers.gguf import Array, Value
from models.weights import Modelfile, Offer
from runner.api.names import Known
from runner.chat.switch import knows_thinking
from runner.service.studies import Studies
from runner.service.uses import use_of
from runner.storage.paths import paths
from runner.types.study import Study
from runner.types.vectors import Purpose

_TOOLS = re.compile(r"\b(tools|Tools)\b")
_GAPS = ("tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id")
_MOST = 256


@dataclass(frozen=True, slots=True)
class Facts:
    """One set of weights. `header` has what its keys say; `modified`: seconds since 1970 when its file was written.

    `digest` is the file's SHA-256 where its store knows it, else 64 digits that change when the file does.
    """

    said: Description
    header: Mapping[str, Value]
    template: str
    modelfile: Modelfile
    capabilities: tuple[str, ...]
    modified: float
    digest: str

    @property
    def info(self) -> dict[str, object]:
        """The header as JSON; None for long lists."""
        told = {key: value for key, value in self.header.items() if key != CHAT_TEMPLATE}
        return {key: value.values if isinstance(value, Array) else value for key, value in told.items()}


def facts_of(known: Known) -> Facts:
    """The facts of a model that a request may name; reads the disk. Errors of `Studies.of`."""
    quant = known.wish.quant if known.wish else None
    return _facts(Studies(paths(), lambda _sentence: None).of(known.typed, quant, wide=False))


@lru_cache(_MOST)
def facts_of_offer(offer: Offer) -> Facts:
    """The facts of one set of weights that is here. BadFile."""
    return _facts(Studies(paths(), lambda _sentence: None).read(offer, offer.name))


def _facts(study: Study) -> Facts:
    one, offer = study.sets[0], study.offer
    weights, header = one.read.weights, one.read.headers[0].kv
    modelfile, own = offer.modelfile or Modelfile(), header.get(CHAT_TEMPLATE)
    template = modelfile.template or (own if isinstance(own, str) else "")
    file = weights.files[0]
    modified = (file.modified or 0) / 1e9
    digest = file.sha256 or sha256(f"{file.path} {weights.bytes} {modified}".encode()).hexdigest()
    said = describe(weights, one.read.headers, one.shape, offer.licence)
    return Facts(said, header, template, modelfile, _capabilities(study, template), modified, digest)


def _capabilities(study: Study, template: str) -> tuple[str, ...]:
    """As Ollama names them."""
    use, header = use_of(study), study.sets[0].read.headers[0].kv
    if use is not Purpose.CHAT:
        return ("embedding",) if use is Purpose.EMBED else ()
    found = {
        "completion": True,
        "tools": _TOOLS.search(template) is not None,
        "insert": any(key in header for key in _GAPS),
        "thinking": knows_thinking(template),
    }
    return tuple(name for name, has in found.items() if has)
