"""Files of random weights: two parsers read them, all values are finite and of the right size, llama.cpp runs them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize

from models.headers.quants import TYPES
from models.headers.reader import parse
from models.headers.shape import shape_of
from runner.client.process import EngineProcess
from runner.types.commands import Generate, Load
from runner.types.generation import Finish, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from scripts.synthetic.geometries import gpt_oss
from scripts.synthetic.geometry import Attention
from scripts.synthetic.headers import entries
from scripts.synthetic.mixes import MIXES
from scripts.synthetic.random_blocks import FILLS
from scripts.synthetic.random_weights import GEOMETRIES, Size, geometry, header, prompt, write

TINY = ["tiny-dense", "tiny-moe"]
PLACEMENT = Placement((), 0, 5, (), 768, threads=1, load_mode="none")
LEAST = float(np.finfo(np.float32).tiny)  # below it floats are denormal, and slow on CPUs


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("row", [32, 256, 2880, 28672])
def test_blocks_of_every_type_hold_values_as_large_as_asked_and_no_denormals(name: str, row: int) -> None:
    kind = next(kind for kind in TYPES.values() if kind.name == name)
    raw = FILLS[name](np.random.default_rng(7), 5000 * kind.block, row**-0.5)
    values = dequantize(raw.reshape(-1, kind.block_bytes), GGMLQuantizationType[name])
    assert values.size == 5000 * kind.block
    assert np.isfinite(values).all()
    assert values.std() == pytest.approx(row**-0.5, rel=0.05)
    assert abs(values.mean()) < values.std() / 8
    assert np.abs(values).max() < 6 * values.std()
    assert (np.abs(values[values != 0]) >= LEAST).all()


def test_every_quantization_is_made_of_types_that_have_blocks() -> None:
    some = [*TINY, "phi-3-mini", "qwen2.5-7b", "deepseek-v2-lite", "gpt-oss-20b"]
    used = {entry.type for quant in MIXES for name in some for entry in entries(GEOMETRIES[name], quant)}
    assert {TYPES[number].name for number in used} <= FILLS.keys()


@pytest.mark.parametrize("model", TINY)
@pytest.mark.parametrize("quant", ["Q4_K_M", "Q8_0", "F16", "MXFP4_MOE", "IQ1_M"])
def test_every_value_is_finite_and_rows_have_length_one(tmp_path: Path, model: str, quant: str) -> None:
    reader = GGUFReader(write(tmp_path / "x.gguf", GEOMETRIES[model], quant))
    assert [tensor.name for tensor in reader.tensors] == [entry.name for entry in entries(GEOMETRIES[model], quant)]
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        if len(tensor.shape) == 1:
            assert (values == 1).all()
        else:
            assert np.isfinite(values).all()
            assert values.std() == pytest.approx(tensor.shape[0] ** -0.5, rel=0.05), tensor.name
            assert abs(values.mean()) < values.std() / 4


def test_the_same_seed_gives_the_same_file_and_a_whole_one_is_kept(tmp_path: Path) -> None:
    first = write(tmp_path / "a.gguf", GEOMETRIES["tiny-dense"], "Q4_K_M")
    assert write(tmp_path / "b.gguf", GEOMETRIES["tiny-dense"], "Q4_K_M").read_bytes() == first.read_bytes()
    assert write(tmp_path / "c.gguf", GEOMETRIES["tiny-dense"], "Q4_K_M", seed=2).read_bytes() != first.read_bytes()
    whole, written = first.read_bytes(), first.stat().st_mtime_ns
    write(first, GEOMETRIES["tiny-dense"], "Q4_K_M")
    assert first.stat().st_mtime_ns == written
    first.write_bytes(whole[:-1000])
    assert write(first, GEOMETRIES["tiny-dense"], "Q4_K_M").read_bytes() == whole


@pytest.mark.parametrize("quant", ["Q4_K_M", "IQ3_M", "MXFP4_MOE"])
def test_a_sparse_one_is_zero_where_that_decides_nothing_and_needs_no_disk(tmp_path: Path, quant: str) -> None:
    whole = write(tmp_path / "whole.gguf", GEOMETRIES["tiny-moe"], quant)
    sparse = write(tmp_path / "sparse.gguf", GEOMETRIES["tiny-moe"], quant, sparse=True)
    assert sparse.stat().st_size == whole.stat().st_size
    holes = quant != "MXFP4_MOE"
    assert (sparse.stat().st_blocks < whole.stat().st_blocks) is holes
    for full, tensor in zip(GGUFReader(whole).tensors, GGUFReader(sparse).tensors, strict=True):
        is_hole = holes and tensor.name.endswith("_exps.weight")
        expected = np.zeros_like(full.data) if is_hole else full.data
        assert (tensor.data == expected).all(), tensor.name


def test_biases_are_zero(tmp_path: Path) -> None:
    whole = gpt_oss("tiny-oss", 1, 4)
    model = replace(whole, tensors=tuple(one for one in whole.tensors if one[0].endswith(".bias")), vocabulary=512)
    reader = GGUFReader(write(tmp_path / "x.gguf", model, "MXFP4_MOE"))
    biases = [tensor for tensor in reader.tensors if tensor.name.endswith(".bias")]
    assert {len(tensor.shape) for tensor in biases} == {1, 2}
    assert not any(tensor.data.any() for tensor in biases)


@pytest.mark.parametrize(("model", "gigabytes"), [("dense", 2.4), ("moe", 4.3)])
def test_the_large_ones_are_a_few_gigabytes(model: str, gigabytes: float) -> None:
    shape = shape_of([parse(header(GEOMETRIES[model], "Q4_K_M"))])
    assert sum(tensor.bytes for tensor in shape.tensors) / 1e9 == pytest.approx(gigabytes, abs=0.2)
    assert shape.experts == (64 if model == "moe" else 0)


@pytest.mark.parametrize("model", TINY)
@pytest.mark.parametrize("quant", [*MIXES])
def test_llama_cpp_runs_them_and_a_word_is_a_token(
    tmp_path: Path, child: EngineProcess, model: str, quant: str
) -> None:
    path = write(tmp_path / "x.gguf", GEOMETRIES[model], quant)
    child.ask(Load(str(path), PLACEMENT))
    request = Request(raw="The" + " a" * 511, sampling=Sampling(temperature=0, max_tokens=4), ignore_end=True)
    *chunks, last = child.stream(Generate(request))
    assert (last.prompt_tokens, last.completion_tokens, last.finish) == (512, 4, Finish.LENGTH)
    text = "".join(chunk.text for chunk in (*chunks, last))
    assert text.replace("!", "")  # the first token, which is the likeliest where no logit is a number


@pytest.mark.parametrize("vocabulary", [512, 32000, 201088])
def test_a_prompt_has_as_many_tokens_as_asked_and_hardly_one_twice(
    tmp_path: Path, child: EngineProcess, vocabulary: int
) -> None:
    model = geometry("wordy", Size(32, 1, 32, vocabulary), Attention(1, 1, 32))
    child.ask(Load(str(write(tmp_path / "x.gguf", model, "Q8_0")), replace(PLACEMENT, layers_total=2)))
    text = prompt(vocabulary, 500)
    *_, last = child.stream(Generate(Request(raw=text, sampling=Sampling(max_tokens=1), ignore_end=True)))
    assert last.prompt_tokens == 500
    assert len(set(text.split())) > (200 if vocabulary == 512 else 490)
    assert prompt(vocabulary, 500, seed=2) != text == prompt(vocabulary, 500)
