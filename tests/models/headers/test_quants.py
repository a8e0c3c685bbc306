import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.headers.quants import CACHE_TYPES, FILE_TYPES, SCOREBOARD, TYPES, family, quality

# The package lacks Q2_0 and still has the size that Q8_1 had when its scales were 32-bit floats.
KNOWN_DIFFERENCES = {9, 42}


def test_tensor_types_are_those_of_the_package() -> None:
    theirs = {int(kind): (kind.name, *size) for kind, size in gguf.GGML_QUANT_SIZES.items()}
    ours = {number: (kind.name, kind.block, kind.block_bytes) for number, kind in TYPES.items()}
    differing = {number for number in ours.keys() | theirs.keys() if ours.get(number) != theirs.get(number)}
    assert differing == KNOWN_DIFFERENCES
    assert (ours[9], ours[42]) == (("Q8_1", 32, 36), ("Q2_0", 64, 18))


def test_file_types_are_those_of_the_package() -> None:
    theirs = {int(kind): kind.name.split("_", 1)[1] for kind in gguf.LlamaFileType if kind.name != "GUESSED"}
    assert theirs.items() <= FILE_TYPES.items()
    assert FILE_TYPES.keys() - theirs.keys() == {41}  # Q2_0
    assert all(family(label) for label in FILE_TYPES.values())


def test_sizes() -> None:
    assert TYPES[12].size(512) == 288
    assert TYPES[12].bits == 4.5
    assert TYPES[0].size(0) == 0
    assert {name: TYPES[number].bits / 8 for name, number in CACHE_TYPES.items()} == {
        "f32": 4.0,
        "f16": 2.0,
        "bf16": 2.0,
        "q8_0": 34 / 32,
        "q5_1": 24 / 32,
        "q5_0": 22 / 32,
        "q4_1": 20 / 32,
        "q4_0": 18 / 32,
        "iq4_nl": 18 / 32,
    }


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Q4_K_M", "Q4_K"),
        ("UD-Q4_K_XL", "Q4_K"),
        ("q4_k_m", "Q4_K"),
        ("Q4_K", "Q4_K"),
        ("Q4_0", "Q4_0"),
        ("Q4_0_4_4", "Q4_0"),
        ("q4", "Q4"),
        ("Q8_0", "Q8_0"),
        ("UD-Q8_K_XL", "Q8_0"),
        ("Q6_K_L", "Q6_K"),
        ("UD-IQ1_S", "IQ1"),
        ("IQ4_XS", "IQ4"),
        ("TQ1_0", "TQ1"),
        ("MXFP4_MOE", "MXFP4"),
        ("NVFP4", "NVFP4"),
        ("fp16", "F16"),
        ("BF16", "BF16"),
        ("F32", "F32"),
        ("Q16", None),
        ("instruct", None),
        ("", None),
    ],
)
def test_family(label: str, expected: str | None) -> None:
    assert family(label) == expected


def test_published_figures_order_the_usual_labels() -> None:
    labels = "F16 Q8_0 Q6_K Q5_K_M Q5_K_S Q4_K_M Q4_K_S IQ4_XS Q4_0 Q3_K_L Q3_K_M IQ3_M Q3_K_S IQ2_M Q2_K IQ2_XXS IQ1_S"
    losses = [quality(label, 0.0).loss for label in labels.split()]
    assert losses == sorted(set(losses))
    assert all(SCOREBOARD in quality(label, 0.0).source for label in labels.split()[1:])


@pytest.mark.parametrize("label", ["F16", "bf16", "fp32"])
def test_weights_that_are_not_quantized_lose_nothing(label: str) -> None:
    assert (quality(label, 16.0).loss, quality(label, 16.0).source) == (0.0, "not quantized")


def test_labels_of_one_mix_are_equal() -> None:
    assert quality("q4_k", 4.9) == quality("Q4_K_M", 4.8)


@pytest.mark.parametrize(
    ("label", "bits", "better", "worse"),
    [
        ("UD-Q4_K_XL", 4.95, "Q5_K_S", "Q4_K_M"),
        ("Q4_K_L", 5.1, "Q5_K_M", "Q4_K_M"),
        ("Q6_K_L", 7.0, "Q8_0", "Q6_K"),
        ("UD-Q8_K_XL", 10.0, "F16", "Q8_0"),
        ("UD-Q2_K_XL", 3.1, "IQ3_XXS", "IQ2_M"),
        ("MXFP4_MOE", 4.35, "IQ4_XS", "Q3_K_L"),
        ("TQ1_0", 1.7, "IQ1_S", "Q1_0"),
    ],
)
def test_labels_without_a_figure_lie_between_their_neighbours(label: str, bits: float, better: str, worse: str) -> None:
    found = quality(label, bits)
    assert quality(better, 1.125).loss < found.loss < quality(worse, 1.125).loss
    assert "interpolated" in found.source
    assert f"{bits:.2f}" in found.source


@given(st.floats(0.5, 20), st.floats(0.5, 20))
def test_more_bits_never_lose_more(one: float, other: float) -> None:
    fewer, more = sorted((one, other))
    assert quality("unknown", more).loss <= quality("unknown", fewer).loss
