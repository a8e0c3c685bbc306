from pathlib import Path

import pytest

from models.errors import BadFile
from models.files import label_of
from models.headers.gguf import Header
from models.headers.gguf_bytes import BOOL, STRING
from models.headers.quantizations import ReadSet, main_type, quantizations
from models.headers.reader import parse
from models.hub.remote import read_headers
from models.weights import WeightFile, WeightSet
from scripts.synthetic import headers
from scripts.synthetic.geometries import MODELS
from scripts.synthetic.headers import Entry
from scripts.synthetic.mixes import NUMBERS, QUANTS
from scripts.synthetic.typed import F32, I32, U32, Typed


def header_of(model: str, quant: str, file_type: int | None = None) -> Header:
    kv = {**headers.metadata(MODELS[model], quant, "none"), "tokenizer.ggml.model": Typed(STRING, "gpt2")}
    if file_type is not None:
        kv["general.file_type"] = Typed(U32, file_type)
    return parse(headers.header_bytes(kv, headers.entries(MODELS[model], quant)))


def read_set(name: str, header: Header, size: int = 100) -> ReadSet:
    return ReadSet(WeightSet(label_of(name), (WeightFile(name, size),)), (header,))


@pytest.mark.parametrize("quant", [quant for quant in QUANTS if quant != "MXFP4_MOE"])
@pytest.mark.parametrize("model", ["llama-3.3-70b", "qwen3-30b-a3b", "gemma-2-9b", "phi-3-mini"])
def test_a_true_label_needs_no_word(model: str, quant: str) -> None:
    one = read_set(f"m-{quant}.gguf", header_of(model, quant))
    assert quantizations([one]) == ((one,), ())


@pytest.mark.parametrize(
    ("name", "quant", "said"),
    [
        ("m-Q4_K_M.gguf", "Q8_0", "m-Q4_K_M.gguf is named Q4_K_M, but most of its weights are Q8_0."),
        ("m-F16.gguf", "Q4_0", "most of its weights are Q4_0"),
        ("m-MXFP4_MOE.gguf", "MXFP4_MOE", "most of its weights are Q8_0"),  # a dense model has no experts
        ("m-UD-TQ1_0.gguf", "IQ2_M", "named UD-TQ1_0, but most of its weights are IQ2"),
        ("m-q4.gguf", "Q4_K_M", None),
        ("m-UD-Q4_K_XL.gguf", "Q4_K_M", None),
        ("m-Q4_K_L.gguf", "Q4_K_S", None),
        ("m-UD-Q8_K_XL.gguf", "Q8_0", None),
        ("m.gguf", "Q4_0", None),
    ],
)
def test_a_wrong_label_is_said(name: str, quant: str, said: str | None) -> None:
    _, notes = quantizations([read_set(name, header_of("qwen2.5-7b", quant))])
    assert len(notes) == (said is not None)
    assert (said or "") in "".join(notes)


@pytest.mark.parametrize(
    ("quant", "file_type", "label"),
    [
        ("Q4_K_M", None, "Q4_K_M"),
        ("IQ3_XS", None, "IQ3_XS"),
        ("Q4_K_M", 15 + 1024, "Q4_K_M"),
        ("Q4_K_M", 7, "Q4_K"),
        ("Q4_K_M", 5, "Q4_K"),
        ("Q8_0", 4_000_000, "Q8_0"),
    ],
)
def test_a_name_without_a_label_gets_the_headers(quant: str, file_type: int | None, label: str) -> None:
    (one,), _ = quantizations([read_set("stories.gguf", header_of("llama-3.1-8b", quant, file_type))])
    assert one.weights.quant == label


def test_a_header_without_weights_has_no_type() -> None:
    header = parse(headers.header_bytes({}, [Entry("norm.weight", (32,), NUMBERS["F32"])]))
    assert main_type([header]) is None
    (one,), notes = quantizations([read_set("odd.gguf", header)])
    assert (one.weights.quant, notes) == ("unknown", ())


def test_embeddings_count_where_there_is_nothing_else() -> None:
    header = parse(headers.header_bytes({}, [Entry("token_embd.weight", (32, 9), NUMBERS["Q8_0"])]))
    assert main_type([header]) == "Q8_0"


def test_another_model_in_the_folder_is_left_out() -> None:
    ours = [read_set(f"a-{quant}.gguf", header_of("llama-3.1-8b", quant)) for quant in ("Q8_0", "Q4_0")]
    stranger = read_set("b-Q6_K.gguf", header_of("llama-3.3-70b", "Q6_K"), size=10_000)
    found, notes = quantizations([stranger, *ours])
    assert found == tuple(ours)
    assert notes == ("Left out: b-Q6_K.gguf is another model (llama, 80 layers).",)
    assert quantizations([stranger, ours[0]])[0] == (stranger,)


def named(name: str, repo: str | None = None, quant: str = "Q4_0") -> ReadSet:
    file = WeightFile(name, 100, repo=repo)
    return ReadSet(WeightSet(label_of(name), (file,)), (header_of("llama-3.1-8b", quant),))


def test_two_models_of_one_shape_are_two_models() -> None:
    ours = [named("Hermes-3-8B-Q4_0.gguf"), named("hermes-3-8b-Q8_0.gguf", quant="Q8_0")]
    found, notes = quantizations([named("Llama-3.1-8B-Q4_0.gguf"), *ours])
    assert found == tuple(ours)
    assert notes == ("Left out: Llama-3.1-8B-Q4_0.gguf is another model of the same shape; name the file to run it.",)


def test_publishers_of_one_model_may_name_it_differently() -> None:
    sets = [named("Qwen_Qwen3-8B-Q4_0.gguf", "one/a"), named("Qwen3-8B-Q8_0.gguf", "two/b", "Q8_0")]
    assert quantizations(sets)[0] == tuple(sets)


def test_what_goes_with_a_model_never_hides_it() -> None:
    model = named("m-Q4_0.gguf")
    projector = read_set(
        "huge-F16.gguf", parse(headers.header_bytes({"general.type": Typed(STRING, "mmproj")}, [])), 10**9
    )
    assert quantizations([projector, projector, model]) == ((model,), ())
    assert quantizations([projector]) == ((), ("huge-F16.gguf is a projector for images or sound (mmproj).",))


def test_a_model_that_answers_comes_before_one_that_embeds() -> None:
    chat = named("chat-Q4_0.gguf")
    kv = {**headers.metadata(MODELS["llama-3.1-8b"], "Q4_0", "none"), "llama.pooling_type": Typed(U32, 3)}
    header = parse(headers.header_bytes(kv, headers.entries(MODELS["llama-3.1-8b"], "Q4_0")))
    embedders = [read_set(f"embed-{number}-Q4_0.gguf", header, 10**6) for number in range(2)]
    assert quantizations([*embedders, chat])[0] == (chat,)


ODD = [Typed(STRING, "x"), Typed(STRING, ""), Typed(F32, 1.5), Typed(BOOL, True), Typed(I32, -1), Typed(I32, [1, 2])]


@pytest.mark.parametrize("value", ODD, ids=lambda typed: repr(typed.value))
@pytest.mark.parametrize(
    "key", ["general.architecture", "general.file_type", "llama.block_count", "split.no", "split.count"]
)
def test_values_of_the_wrong_type_break_nothing(tmp_path: Path, key: str, value: Typed) -> None:
    kv = {**headers.metadata(MODELS["llama-3.1-8b"], "Q4_0", "none"), key: value}
    path = headers.write(tmp_path / "odd.gguf", kv, headers.entries(MODELS["llama-3.1-8b"], "Q4_0"))
    odd = WeightSet("", (WeightFile(path.name, path.stat().st_size, path),))
    try:
        found, _ = quantizations(read_headers([odd], tmp_path / "cache").sets)
    except BadFile as error:
        assert key.startswith("split.")
        assert "odd.gguf: its header says shard" in str(error)
    else:
        assert [one.weights.quant for one in found] == ["Q4_0"]


def test_nothing_from_nothing() -> None:
    assert quantizations([]) == ((), ())
