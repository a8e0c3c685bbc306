"""What the headers of a listing add to its names: missing labels, wrong labels, and which sets are one model. Pure."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from models.files import model_of
from models.headers.gguf import Header, TensorInfo, Value
from models.headers.kinds import FileKind, kind_of
from models.headers.quants import FILE_TYPES, TYPES, family
from models.weights import WeightSet

_GUESSED = 1024  # added to general.file_type by converters that were not told it
_ENDS = ("token_embd.", "output.", "per_layer_token_embd.")  # often of a better type than the rest


@dataclass(frozen=True, slots=True)
class ReadSet:
    """A set of weights with the headers of its files, in the same order."""

    weights: WeightSet
    headers: tuple[Header, ...]


def quantizations(sets: Sequence[ReadSet]) -> tuple[tuple[ReadSet, ...], tuple[str, ...]]:
    """The sets that are quantizations of one model, labelled, and notes on labels and on what was left out.

    Of several models it is one that answers prompts, with the most sets; of equally many, the largest. Where there is
    nothing but what goes with models, the notes say what it is.
    """
    models = _models([one for one in sets if not kind_of(one.headers).is_companion])
    if not models:
        return (), tuple(f"{one.weights.files[0].name} is {kind_of(one.headers)}." for one in sets)
    chosen = max(models, key=_preference)
    notes = [_left_out(one, chosen[0]) for model in models if model is not chosen for one in model]
    notes += [note for one in chosen if (note := label_note(one))]
    return tuple(_labelled(one) for one in chosen), tuple(notes)


def _preference(model: Sequence[ReadSet]) -> tuple[bool, int, int]:
    return kind_of(model[0].headers) is FileKind.CHAT, len(model), sum(one.weights.bytes for one in model)


def _models(sets: Sequence[ReadSet]) -> list[Sequence[ReadSet]]:
    """Sets that are one model: of one geometry, and of one name where a repository has several names for it.

    Publishers name the same model differently, each in a repository of their own.
    """
    shapes: dict[Hashable, list[ReadSet]] = defaultdict(list)
    for one in sets:
        shapes[kind_of(one.headers), _geometry(one.headers[0])].append(one)
    found: list[Sequence[ReadSet]] = []
    for alike in shapes.values():
        names: dict[str, list[ReadSet]] = defaultdict(list)
        for one in alike:
            names[_name(one)].append(one)
        places = Counter(repo for repo, _ in {(one.weights.files[0].repo, _name(one)) for one in alike})
        found += names.values() if max(places.values()) > 1 else [alike]
    return found


def _name(one: ReadSet) -> str:
    return model_of(one.weights.files[0].name).casefold()


def _left_out(one: ReadSet, chosen: ReadSet) -> str:
    file = one.weights.files[0].name
    if _geometry(one.headers[0]) == _geometry(chosen.headers[0]):
        return f"Left out: {file} is another model of the same shape; name the file to run it."
    return f"Left out: {file} is another model ({_model(one.headers[0])})."


def label_note(one: ReadSet) -> str | None:
    """A sentence where the name promises other weights than there are.

    A mix may have more of a neighbouring type than of its own, so the header's own label counts as well, unless the
    weights are far from its size (mixture-of-experts files of 4 bits go by the name of F16).
    """
    promised, found = family(one.weights.quant), main_type(one.headers)
    if promised is None or found is None or (family(found) or found).startswith(promised):
        return None
    if family(_told(one)) == promised and _is_near(promised, one.headers):
        return None
    return f"{one.weights.files[0].name} is named {one.weights.quant}, but most of its weights are {found}."


def main_type(headers: Sequence[Header]) -> str | None:
    """The type that holds the most bytes; embeddings and output count only where there is nothing else."""
    held: Counter[int] = Counter()
    for tensor in _weights(headers):
        held[tensor.type] += tensor.bytes
    return TYPES[held.most_common(1)[0][0]].name if held else None


def _weights(headers: Sequence[Header]) -> list[TensorInfo]:
    tensors = [tensor for header in headers for tensor in header.tensors if len(tensor.dims) > 1]
    return [tensor for tensor in tensors if not tensor.name.startswith(_ENDS)] or tensors


def _is_near(promised: str, headers: Sequence[Header]) -> bool:
    """Whether the weights have about as many bits as a type; true for families that are no type."""
    nominal = next((kind.bits for kind in TYPES.values() if kind.name == promised), None)
    tensors = _weights(headers)
    bits = 8 * sum(tensor.bytes for tensor in tensors) / max(1, sum(tensor.elements for tensor in tensors))
    return nominal is None or 0.6 < bits / nominal < 1.6


def _told(one: ReadSet) -> str:
    """The label that the header itself gives, empty if none."""
    number = one.headers[0].kv.get("general.file_type")
    return FILE_TYPES.get(number % _GUESSED, "") if isinstance(number, int) else ""


def _labelled(one: ReadSet) -> ReadSet:
    """With the header's own label where the name has none."""
    if one.weights.quant:
        return one
    told, found = _told(one), main_type(one.headers)
    agrees = bool(told) and found is not None and family(told) == family(found)
    return replace(one, weights=replace(one.weights, quant=told if agrees else found or "unknown"))


def _geometry(header: Header) -> tuple[Value | None, ...]:
    arch = header.kv.get("general.architecture")
    keys = ("block_count", "embedding_length", "expert_count")
    return (arch, *(header.kv.get(f"{arch}.{key}") for key in keys))


def _model(header: Header) -> str:
    arch, layers, *_ = _geometry(header)
    return f"{arch}, {layers} layers"
