"""Shapes of real geometries and of small headers, against llama.cpp's own numbers and published ones."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import BadFile
from models.headers.architectures import KNOWN, SLIDING_WINDOWS
from models.headers.gguf import Header, aligned
from models.headers.gguf_bytes import STRING
from models.headers.reader import parse
from models.headers.roles import role_and_layer
from models.headers.shape import LayerMemory, ModelShape, Role, shape_of
from models.stores.header_files import read_header
from runner.client.process import EngineProcess
from runner.cost.kv import ContextSettings, caches_of
from runner.types.commands import Rehearse, StandIns
from runner.types.engine import Rehearsal
from runner.types.placement import Placement
from scripts.synthetic.geometries import MODELS
from scripts.synthetic.geometry import Setting
from scripts.synthetic.headers import ALIGNMENT, Entry, entries, header_bytes, make, metadata, split
from scripts.synthetic.mixes import NUMBERS, QUANTS
from scripts.synthetic.typed import U16, Typed
from tests.support.headers import EMBEDDING, header_of

# Published file sizes in GB.
SIZES = {
    "llama-3.3-70b": {
        "Q8_0": 74.98,
        "Q6_K": 57.89,
        "Q5_K_M": 49.95,
        "Q5_K_S": 48.66,
        "Q4_K_M": 42.52,
        "Q4_K_S": 40.35,
        "Q4_0": 40.12,
        "IQ4_XS": 37.90,
        "Q3_K_L": 37.14,
        "Q3_K_M": 34.27,
        "IQ3_M": 31.94,
        "Q3_K_S": 30.91,
        "F16": 141,
    },
    "mixtral-8x22b": {
        "F16": 281,
        "Q8_0": 149,
        "Q5_K_M": 99.96,
        "Q5_K_S": 96.97,
        "Q4_K_M": 85.58,
        "Q4_K_S": 80.47,
        "IQ4_XS": 76.35,
        "Q3_K_L": 72.57,
        "Q3_K_M": 67.78,
        "IQ3_M": 64.49,
        "Q3_K_S": 61.49,
        "IQ3_XS": 58.22,
        "Q2_K": 52.10,
    },
}


def quant_of(model: str) -> str:
    return "MXFP4_MOE" if model == "gpt-oss-20b" else "Q4_K_M"


def header_for(model: str, quant: str | None = None) -> Header:
    quant = quant or quant_of(model)
    return parse(header_bytes(metadata(MODELS[model], quant, "none"), entries(MODELS[model], quant)))


@pytest.fixture(scope="module")
def shapes() -> Mapping[str, ModelShape]:
    return {model: shape_of([header_for(model)]) for model in MODELS}


@pytest.mark.parametrize(("model", "quant"), [(model, quant) for model, row in SIZES.items() for quant in row])
def test_header_only_files_have_the_published_sizes(tmp_path: Path, model: str, quant: str) -> None:
    (path,) = make(model, quant, tmp_path, tokenizer="none")
    assert path.stat().st_size / 1e9 == pytest.approx(SIZES[model][quant], rel=0.01)
    assert path.stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize(("model", "size"), [("llama-3.1-8b", 7.8e6), ("phi-3-mini", 0.8e6)])
def test_tokenizers_are_of_realistic_size(model: str, size: float) -> None:
    geometry = MODELS[model]
    header = parse(header_bytes(metadata(geometry, "Q4_K_M"), entries(geometry, "Q4_K_M")))
    assert header.data_start == pytest.approx(size, rel=0.15)
    assert shape_of([header]).vocabulary == geometry.vocabulary


def placements(shape: ModelShape, devices: tuple[str, ...]) -> list[Placement]:
    total, third = shape.layers + 1, shape.layers // 3
    return [
        Placement((), 0, total, (), ctx=8192),
        Placement((), 0, total, (), ctx=5000, kv_type="q8_0"),
        Placement(devices, total, total, (third, total - third), ctx=8192),
        Placement(devices[:1], total // 2, total, (total // 2,), ctx=1000, ubatch=256),
    ]


def owners(shape: ModelShape, placement: Placement) -> list[str]:
    """The device of every layer, the output layer last: the last `gpu_layers` go to the devices in runs."""
    runs = ([device] * count for device, count in zip(placement.devices, placement.tensor_split, strict=True))
    return ["CPU"] * (shape.layers + 1 - placement.gpu_layers) + list(chain.from_iterable(runs))


def expected(shape: ModelShape, placement: Placement) -> dict[str, tuple[int, int]]:
    """Weights and KV by device; llama.cpp starts every tensor at a multiple of 32 bytes."""
    devices = owners(shape, placement)
    weights, kv = dict.fromkeys(("CPU", *devices), 0), dict.fromkeys(("CPU", *devices), 0)
    for tensor in shape.tensors:
        homes = {"CPU"} if tensor.layer is None else {devices[tensor.layer]}
        if tensor.mirrored:
            homes = {"CPU", devices[-1]} if tensor.layer is None else set(devices[:-1])
        for device in () if tensor.unused else homes:
            weights[device] += aligned(tensor.bytes, ALIGNMENT)
    settings = ContextSettings(placement.ctx, placement.kv_type, placement.ubatch)
    for device, size in zip(devices, caches_of(shape).held(settings), strict=False):
        kv[device] += size
    return {device: (weights[device], kv[device]) for device in weights if weights[device] or kv[device]}


def told(rehearsal: Rehearsal) -> dict[str, tuple[int, int]]:
    """The same from llama.cpp's breakdown."""
    return {row.device: (row.weights, row.kv) for row in rehearsal.memory or () if row.weights or row.kv}


@pytest.mark.parametrize("model", MODELS)
def test_weights_and_kv_are_llama_cpps_to_the_byte(
    child: EngineProcess, tmp_path: Path, shapes: Mapping[str, ModelShape], model: str
) -> None:
    (path,) = make(model, quant_of(model), tmp_path, tokenizer="none")
    shape = shapes[model]
    wanted = placements(shape, child.ask(StandIns(2)))
    rehearsals = child.ask(Rehearse(str(path), tuple(wanted)))
    assert [told(rehearsal) for rehearsal in rehearsals] == [expected(shape, p) for p in wanted]


def test_a_real_file(child: EngineProcess, smollm2: Path) -> None:
    shape = shape_of([read_header(smollm2)])
    assert (shape.arch, shape.layers, shape.parameters, shape.context_trained) == ("llama", 30, 134_515_008, 8192)
    assert (shape.vocabulary, shape.embedding, shape.feed_forward, shape.attention_width) == (49152, 576, 1536, 576)
    assert any(tensor.mirrored for tensor in shape.tensors) and not shape.kv_same_type
    assert set(shape.memory) == {LayerMemory(192, 192)}
    wanted = placements(shape, child.ask(StandIns(2)))
    rehearsals = child.ask(Rehearse(str(smollm2), tuple(wanted)))
    assert [told(rehearsal) for rehearsal in rehearsals] == [expected(shape, p) for p in wanted]


def test_llama_cpp_accepts_made_tokenizers_and_shards(child: EngineProcess, tmp_path: Path) -> None:
    paths = make("phi-3-mini", "Q8_0", tmp_path, shards=3)
    shape = shape_of([read_header(path) for path in paths])
    (wanted, *_) = placements(shape, ())
    (rehearsal,) = child.ask(Rehearse(str(paths[0]), (wanted,)))
    assert told(rehearsal) == expected(shape, wanted)


def test_every_tensor_name_of_llama_cpp_has_its_place() -> None:
    for line in (Path(__file__).parents[2] / "data" / "tensor_names.txt").read_text().splitlines()[1:]:
        name, where, role, *_ = line.split()
        layer = {"input": None, "first": 0, "block": 3, "output": 99}[where]
        assert role_and_layer(f"{name}.weight", "llama", 99) == (Role(role.replace("-", " ")), layer), name


@pytest.mark.parametrize(
    ("name", "arch", "role", "layer"),
    [
        ("token_embd_norm.weight", "lfm2", Role.NORM, 99),
        ("token_embd_norm.weight", "bloom", Role.NORM, 0),
        ("blk.7.ffn_gate_exps.bias", "gpt-oss", Role.EXPERT, 7),
        ("blk.7.ffn_gate.3.weight", "llama", Role.EXPERT, 7),
        ("blk.7.ffn_up.scale", "llama", Role.FFN, 7),
        ("blk.7.ffn_gate_inp.weight", "llama", Role.OTHER, 7),
        ("dec.blk.12.cross_attn_q.weight", "t5", Role.ATTENTION, 12),
        ("a_name_from_the_future.weight", "llama", Role.OUTPUT, 99),
    ],
)
def test_places(name: str, arch: str, role: Role, layer: int | None) -> None:
    assert role_and_layer(name, arch, 99) == (role, layer)


def test_roles_of_real_models(shapes: Mapping[str, ModelShape]) -> None:
    def share(model: str, role: Role) -> float:
        tensors = shapes[model].tensors
        return sum(t.elements for t in tensors if t.role is role) / shapes[model].parameters

    assert share("mixtral-8x22b", Role.EXPERT) == pytest.approx(56 * 8 * 3 * 6144 * 16384 / 140.62e9, rel=1e-3)
    assert share("llama-3.3-70b", Role.FFN) == pytest.approx(80 * 3 * 8192 * 28672 / 70.55e9, rel=1e-3)
    assert share("llama-3.3-70b", Role.EXPERT) == 0
    assert share("qwen1.5-moe-a2.7b", Role.SHARED_EXPERT) == pytest.approx(24 * 3 * 2048 * 5632 / 14.32e9, rel=1e-3)
    assert share("gemma-3-27b", Role.OUTPUT) == 0 and share("gemma-3-27b", Role.EMBEDDING) > 0.05


FACTS = ("parameters", "layers", "experts", "experts_used", "expert_feed_forward", "attention_width", "vocabulary")


@pytest.mark.parametrize(
    ("model", "facts"),
    [
        ("llama-3.1-8b", (8_030_261_312, 32, 0, 0, 0, 4096, 128256)),
        ("mixtral-8x7b", (46_702_792_704, 32, 8, 2, 14336, 4096, 32000)),
        ("qwen3-30b-a3b", (30_532_122_624, 48, 128, 8, 768, 4096, 151936)),
        ("mistral-small-24b", (23_572_403_200, 40, 0, 0, 0, 4096, 131072)),
        ("deepseek-v2-lite", (15_706_484_224, 27, 64, 6, 1408, 16 * 576, 102400)),
        ("gpt-oss-20b", (20_914_757_184, 24, 32, 4, 2880, 4096, 201088)),
    ],
)
def test_numbers_of_real_models(shapes: Mapping[str, ModelShape], model: str, facts: tuple[int, ...]) -> None:
    assert tuple(getattr(shapes[model], name) for name in FACTS) == facts


def test_prediction_blocks_are_not_loaded(shapes: Mapping[str, ModelShape]) -> None:
    shape = shapes["glm-4.5-air"]
    assert {tensor.layer for tensor in shape.tensors if tensor.unused} == {46}
    assert shape.memory[46] == LayerMemory(0, 0) != shape.memory[45]


F, S = LayerMemory(64, 64), LayerMemory(64, 64, window=16)  # a full and a sliding layer of the small header
NONE, WINDOW = LayerMemory(0, 0), {"attention.sliding_window": 16}
SSM = {"ssm.conv_kernel": 4, "ssm.inner_size": 512, "ssm.state_size": 16, "ssm.group_count": 2}
MAMBA2 = 3 * (512 + 2 * 2 * 16) + 16 * 512
MLA = {"attention.key_length": 576, "attention.key_length_mla": 192, "attention.value_length_mla": 128}


def state(values: int) -> LayerMemory:
    return LayerMemory(0, 0, state_values=values)


@pytest.mark.parametrize(
    ("arch", "numbers", "memory"),
    [
        ("llama", {}, [F, F]),
        ("llama", {"attention.head_count_kv": None}, [LayerMemory(256, 256)] * 2),
        ("llama", {"attention.key_length": 64, "attention.value_length": 48}, [LayerMemory(128, 96)] * 2),
        ("llama", WINDOW, [F, F]),
        ("phi3", WINDOW, [F, F]),
        ("deci", {"attention.head_count": [8, 0], "attention.head_count_kv": [2, 0]}, [F, NONE]),
        ("bert", {}, [NONE, NONE]),
        ("llada", {}, [NONE, NONE]),
        ("gemma2", WINDOW, [S, F]),
        ("gemma2", {}, [LayerMemory(64, 64, window=4096), F]),
        ("gemma3", {**WINDOW, "block_count": 7}, [*[S] * 5, F, S]),
        ("gemma3", {"block_count": 7}, [F] * 7),
        ("gemma3", {**WINDOW, "attention.sliding_window_pattern": [False, True]}, [F, S]),
        ("gemma3", {**WINDOW, "attention.sliding_window_pattern": 1}, [F, F]),
        ("gemma3n", {**WINDOW, "block_count": 22}, [*[*[S] * 4, F] * 4, NONE, NONE]),
        (
            "gemma4",
            {
                **WINDOW,
                "block_count": 3,
                "attention.sliding_window_pattern": [True, False, True],
                "attention.key_length_swa": 16,
                "attention.value_length_swa": 16,
                "attention.shared_kv_layers": 1,
            },
            [LayerMemory(32, 32, window=16), F, NONE],
        ),
        ("gpt-oss", {**WINDOW, "block_count": 3}, [S, F, S]),
        ("cohere2", {**WINDOW, "block_count": 4}, [S, S, S, F]),
        ("cohere2moe", {**WINDOW, "block_count": 4}, [F, S, S, S]),
        ("llama4", {"block_count": 4}, [*[LayerMemory(64, 64, window=8192)] * 3, F]),
        ("llama4", {"attention.sliding_window": 0}, [F, F]),
        ("smallthinker", WINDOW, [F, LayerMemory(64, 64, window=4096)]),
        ("exaone4", WINDOW, [F, F]),
        ("exaone4", {**WINDOW, "block_count": 64}, [S, S, S, F] * 16),
        ("lfm2", {"attention.head_count_kv": [2, 0], "shortconv.l_cache": 3, **WINDOW}, [S, state(2 * 256)]),
        ("deepseek2", {**MLA, "attention.head_count_kv": 1}, [LayerMemory(576, 0)] * 2),
        ("deepseek2", {"attention.key_length": 192, "attention.head_count_kv": 8}, [LayerMemory(1536, 256)] * 2),
        ("glm4moe", {"nextn_predict_layers": 1}, [F, NONE]),
        ("mamba2", {**SSM, "attention.head_count": 0, "attention.head_count_kv": 0}, [state(MAMBA2)] * 2),
        ("mamba", {**SSM, "attention.head_count": 0}, [state(3 * 512 + 16 * 512)] * 2),
        ("granitehybrid", {**SSM, "attention.head_count_kv": [2, 0]}, [F, state(MAMBA2)]),
        ("falcon-h1", SSM, [LayerMemory(64, 64, state_values=MAMBA2)] * 2),
        ("qwen3next", {**SSM, "block_count": 4}, [*[state(MAMBA2)] * 3, F]),
        ("qwen3next", {**SSM, "full_attention_interval": 2}, [state(MAMBA2), F]),
        ("qwen35", {**SSM, "attention.recurrent_layers": [False, True]}, [F, state(MAMBA2)]),
        (
            "nemotron_h",
            {**SSM, "block_count": 3, "attention.head_count_kv": [0, 2, 0], "feed_forward_length": [0, 0, 512]},
            [state(MAMBA2), F, NONE],
        ),
        (
            "kimi-linear",
            {**MLA, "attention.head_count_kv": [0, 1], "kda.head_dim": 32, "ssm.conv_kernel": 4},
            [state(8 * 32 * (9 + 32)), LayerMemory(576, 0)],
        ),
        ("minimax-01", {"full_attention_interval": 2}, [state(8 * 32 * 32), F]),
        ("rwkv7", {"attention.head_count": 0, "wkv.head_size": 64}, [state(256 * (2 + 64))] * 2),
        ("nanbeige", {"num_loops": 3}, [F] * 6),
        ("graniteswitch", {}, [F, F, LayerMemory(32, 32)]),
    ],
)
def test_memory(arch: str, numbers: Mapping[str, Setting | None], memory: list[LayerMemory]) -> None:
    shape = shape_of([header_of(arch, numbers)])
    assert list(shape.memory) == memory
    assert shape.layers == len(memory)


def test_tables_name_known_architectures() -> None:
    assert set(SLIDING_WINDOWS) <= KNOWN


def test_embeddings_are_mirrored_where_there_is_no_output_matrix() -> None:
    output = Entry("output.weight", (256, 1000), NUMBERS["Q8_0"])
    for arch, mirrored in {"llama": True, "bert": False, "bitnet": False}.items():
        assert shape_of([header_of(arch)]).tensors[0].mirrored == mirrored
    assert not shape_of([header_of("llama", tensors=(EMBEDDING, output))]).tensors[0].mirrored


@pytest.mark.parametrize(
    ("arch", "numbers", "message"),
    [
        ("clip", {}, "mmproj"),
        ("qwen9", {}, "does not know the architecture 'qwen9'"),
        ("llama", {"block_count": None}, "lacks llama.block_count"),
        ("llama", {"context_length": None}, "lacks llama.context_length"),
        ("llama", {"embedding_length": None}, "lacks llama.embedding_length"),
        ("llama", {"block_count": 0}, "takes 1 to 512"),
        ("llama", {"block_count": 1 << 31}, "takes 1 to 512"),
        ("nanbeige", {"num_loops": 1 << 30}, "makes 2147483648 layers"),
        ("llama", {"expert_count": 8}, "8 experts and uses 0"),
        ("llama", {"expert_count": 8, "expert_used_count": 9}, "8 experts and uses 9"),
        ("llama", {"expert_count": 4096, "expert_used_count": 2}, "cannot run"),
        ("llama", {"block_count": "two"}, "'two', not a whole number"),
        ("llama", {"context_length": 4096.0}, "not a whole number"),
        ("llama", {"context_length": [1, 2]}, "an array, not a whole number"),
        ("llama", {"attention.head_count": [8, 8, 8]}, "3 elements for 2 blocks"),
        ("llama", {"attention.head_count_kv": [8] * 5000}, "5000 elements"),
        ("qwen3next", {"attention.recurrent_layers": [True]}, "1 elements for 2 blocks"),
    ],
)
def test_senseless_headers_are_refused(arch: str, numbers: Mapping[str, Setting | None], message: str) -> None:
    with pytest.raises(BadFile, match=message):
        shape_of([header_of(arch, numbers)])


def test_a_tensor_beyond_the_last_block_is_refused() -> None:
    kv, table = metadata(MODELS["phi-3-mini"], "Q4_K_M", "none"), entries(MODELS["phi-3-mini"], "Q4_K_M")
    fewer = kv | {"phi3.block_count": Typed(U16, 31)}
    shape_of([parse(header_bytes(kv, table))])
    with pytest.raises(BadFile, match="names 31 blocks, and has a tensor of block 31"):
        shape_of([parse(header_bytes(fewer, table))])


def test_a_header_without_an_architecture_is_refused() -> None:
    with pytest.raises(BadFile, match="architecture"):
        shape_of([parse(header_bytes({}, [EMBEDDING]))])


@settings(max_examples=20, derandomize=True)
@given(model=st.sampled_from(sorted(MODELS)), shards=st.integers(2, 9))
def test_shards_are_one_model(shapes: Mapping[str, ModelShape], model: str, shards: int) -> None:
    parts = split(metadata(MODELS[model], quant_of(model), "none"), entries(MODELS[model], quant_of(model)), shards)
    assert shape_of([parse(header_bytes(kv, table)) for kv, table in parts]) == shapes[model]


def test_wrong_shards_are_refused() -> None:
    geometry = MODELS["phi-3-mini"]
    kv, table = metadata(geometry, "Q4_K_M", "none"), entries(geometry, "Q4_K_M")
    first, second, third = (parse(header_bytes(*part)) for part in split(kv, table, 3))
    twice = parse(header_bytes({"split.no": Typed(U16, 2), "split.count": Typed(U16, 3)}, table[:1]))
    for wrong in ([], [first], [first, second], [first, third, second], [first, second, twice]):
        with pytest.raises(BadFile):
            shape_of(wrong)


_SETTINGS = st.sampled_from(sorted({key for geometry in MODELS.values() for key in geometry.settings}))
_VALUES = st.one_of(st.integers(0, 2**32 - 1), st.floats(0, 10, width=32), st.lists(st.integers(0, 600), min_size=1))


@settings(derandomize=True)
@given(arch=st.sampled_from(sorted(KNOWN)), numbers=st.dictionaries(_SETTINGS, _VALUES, max_size=6))
def test_any_header_has_a_shape_or_a_reason(arch: str, numbers: Mapping[str, Setting]) -> None:
    try:
        shape = shape_of([header_of(arch, numbers, extra={"general.name": Typed(STRING, "x")})])
    except BadFile:
        return
    assert len(shape.memory) == shape.layers
    assert all(min(m.k_width, m.v_width, m.window, m.state_values) >= 0 for m in shape.memory)


def test_every_quantization_can_be_made() -> None:
    shapes = {quant: shape_of([header_for("granite-4.0-h-tiny", quant)]) for quant in QUANTS}
    bits = [shape.bits_per_weight for shape in shapes.values()]
    assert bits[0] == pytest.approx(16, rel=0.01) and min(bits) > 2 and len({round(b, 3) for b in bits}) >= 16
