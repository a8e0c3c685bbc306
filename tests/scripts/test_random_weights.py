"""Files of random weights: two parsers read them, all values are finite and of the right size, llama.cpp runs them."""

import re
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize

from models.errors import UsageError
from models.headers.reader import parse
from models.headers.shape import shape_of
from runner.client.process import EngineProcess
from runner.types.commands import Generate, Load
from runner.types.generation import Finish, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from scripts.synthetic.headers import entries
from scripts.synthetic.random_weights import GEOMETRIES, header, write

TINY = ["tiny-dense", "tiny-moe"]
PLACEMENT = Placement((), 0, 5, (), 768, threads=1, load_mode="none")


@pytest.mark.parametrize("model", TINY)
@pytest.mark.parametrize("quant", ["Q4_K_M", "Q8_0", "Q4_0", "Q5_K_M", "F16"])
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


def test_a_type_without_random_blocks_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape("no random blocks for IQ4_XS, only for F32, F16")):
        write(tmp_path / "x.gguf", GEOMETRIES["tiny-dense"], "IQ4_XS")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("model", "gigabytes"), [("dense", 2.4), ("moe", 4.3)])
def test_the_large_ones_are_a_few_gigabytes(model: str, gigabytes: float) -> None:
    shape = shape_of([parse(header(GEOMETRIES[model], "Q4_K_M"))])
    assert sum(tensor.bytes for tensor in shape.tensors) / 1e9 == pytest.approx(gigabytes, abs=0.2)
    assert shape.experts == (64 if model == "moe" else 0)


@pytest.mark.parametrize("model", TINY)
def test_llama_cpp_runs_them_and_a_word_is_a_token(tmp_path: Path, child: EngineProcess, model: str) -> None:
    path = write(tmp_path / "x.gguf", GEOMETRIES[model], "Q4_K_M")
    child.ask(Load(str(path), PLACEMENT))
    request = Request(raw="The" + " a" * 511, sampling=Sampling(temperature=0, max_tokens=40), ignore_end=True)
    *_, last = child.stream(Generate(request))
    assert (last.prompt_tokens, last.completion_tokens, last.finish) == (512, 40, Finish.LENGTH)
