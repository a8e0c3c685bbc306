"""Whether llama.cpp would take several files together as one model. Pure."""

from collections.abc import Sequence

from models.errors import BadFile
from models.headers.gguf import Header


def check_shards(headers: Sequence[Header], names: Sequence[str]) -> None:
    """BadFile where these headers, of files of these names, are not all shards of one model, in order."""
    if not headers:
        raise BadFile("a model needs at least one header")
    for index, (name, header) in enumerate(zip(names, headers, strict=True)):
        number, count = header.kv.get("split.no", 0), header.kv.get("split.count") or 1  # merged files say 0
        if (number, count) != (index, len(headers)):
            raise BadFile(f"{name}: its header says shard {number} of {count}, counted from 0")
    tensors = [tensor.name for header in headers for tensor in header.tensors]
    if len(set(tensors)) != len(tensors):
        raise BadFile(f"{names[0]}: two of its shards have the same tensor")
    total = headers[0].kv.get("split.tensors.count", len(tensors))
    if len(headers) > 1 and total != len(tensors):
        raise BadFile(f"{names[0]}: {total} tensors are announced, its shards have {len(tensors)}")
