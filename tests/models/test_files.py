from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.files import group, label_of, model_of, typed_name
from models.weights import Offer, WeightFile, WeightSet

# The publishers' styles: path in the repository, label, what stays the same between quantizations.
NAMES = [
    ("Llama-3.3-70B-Instruct-Q4_K_M.gguf", "Q4_K_M", "Llama-3.3-70B-Instruct"),
    (
        "Llama-3.3-70B-Instruct-Q8_0/Llama-3.3-70B-Instruct-Q8_0-00001-of-00002.gguf",
        "Q8_0",
        "Llama-3.3-70B-Instruct",
    ),
    ("Meta-Llama-3.1-8B-Instruct-Q4_K_L.gguf", "Q4_K_L", "Meta-Llama-3.1-8B-Instruct"),
    ("Meta-Llama-3.1-8B-Instruct-Q3_K_XL.gguf", "Q3_K_XL", "Meta-Llama-3.1-8B-Instruct"),
    ("Meta-Llama-3.1-8B-Instruct-f32.gguf", "F32", "Meta-Llama-3.1-8B-Instruct"),
    ("Meta-Llama-3.1-8B-Instruct-Q4_0_4_4.gguf", "Q4_0_4_4", "Meta-Llama-3.1-8B-Instruct"),
    ("Meta-Llama-3.1-8B-Instruct-IQ2_M.gguf", "IQ2_M", "Meta-Llama-3.1-8B-Instruct"),
    ("Meta-Llama-3.1-8B-Instruct-IQ4_NL.gguf", "IQ4_NL", "Meta-Llama-3.1-8B-Instruct"),
    ("google_gemma-3-27b-it-IQ3_XXS.gguf", "IQ3_XXS", "google_gemma-3-27b-it"),
    (
        "google_gemma-3-27b-it-bf16/google_gemma-3-27b-it-bf16-00001-of-00002.gguf",
        "BF16",
        "google_gemma-3-27b-it",
    ),
    ("Qwen_Qwen3-30B-A3B-Q6_K.gguf", "Q6_K", "Qwen_Qwen3-30B-A3B"),
    ("Qwen_Qwen3-30B-A3B-Q6_K_L.gguf", "Q6_K_L", "Qwen_Qwen3-30B-A3B"),
    ("openai_gpt-oss-20b-MXFP4_MOE.gguf", "MXFP4_MOE", "openai_gpt-oss-20b"),
    ("Qwen3-8B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL", "Qwen3-8B"),
    ("Qwen3-8B-UD-IQ1_S.gguf", "UD-IQ1_S", "Qwen3-8B"),
    ("Qwen3-8B-UD-Q8_K_XL.gguf", "UD-Q8_K_XL", "Qwen3-8B"),
    ("UD-IQ1_M/DeepSeek-R1-UD-IQ1_M-00002-of-00004.gguf", "UD-IQ1_M", "DeepSeek-R1"),
    ("BF16/Qwen3-30B-A3B-BF16-00001-of-00002.gguf", "BF16", "Qwen3-30B-A3B"),
    ("Q2_K/model-00001-of-00002.gguf", "Q2_K", "model"),
    ("deep/Q3_K_S/nested/model.gguf", "Q3_K_S", "model"),
    ("DeepSeek-V3-0324-UD-TQ1_0.gguf", "UD-TQ1_0", "DeepSeek-V3-0324"),
    ("gpt-oss-20b-F16.gguf", "F16", "gpt-oss-20b"),
    ("gpt-oss-20b-mxfp4.gguf", "MXFP4", "gpt-oss-20b"),
    ("gpt-oss-120b-mxfp4-00001-of-00003.gguf", "MXFP4", "gpt-oss-120b"),
    ("Nemotron-Nano-9B-v2-NVFP4.gguf", "NVFP4", "Nemotron-Nano-9B-v2"),
    ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1", "SmolLM2-135M-Instruct"),
    ("mistral-7b-instruct-v0.2.Q4_K_M.gguf", "Q4_K_M", "mistral-7b-instruct-v0.2"),
    ("mixtral-8x7b-instruct-v0.1.Q5_0.gguf", "Q5_0", "mixtral-8x7b-instruct-v0.1"),
    ("codellama-34b.Q2_K.gguf", "Q2_K", "codellama-34b"),
    ("Mixtral-8x22B-v0.1.Q3_K_S-00001-of-00005.gguf", "Q3_K_S", "Mixtral-8x22B-v0.1"),
    ("Hermes-3-Llama-3.1-8B.i1-Q4_K_M.gguf", "Q4_K_M", "Hermes-3-Llama-3.1-8B.i1"),
    ("Hermes-3-Llama-3.1-8B.i1-IQ1_S.gguf", "IQ1_S", "Hermes-3-Llama-3.1-8B.i1"),
    ("Hermes-3-Llama-3.1-8B.i1-IQ3_XS.gguf", "IQ3_XS", "Hermes-3-Llama-3.1-8B.i1"),
    ("Hermes-3-Llama-3.1-8B.f16.gguf", "F16", "Hermes-3-Llama-3.1-8B"),
    ("qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf", "Q4_K_M", "qwen2.5-7b-instruct"),
    ("qwen2.5-7b-instruct-q5_0-00001-of-00002.gguf", "Q5_0", "qwen2.5-7b-instruct"),
    ("qwen2.5-7b-instruct-fp16-00003-of-00004.gguf", "F16", "qwen2.5-7b-instruct"),
    ("Phi-3-mini-4k-instruct-q4.gguf", "Q4", "Phi-3-mini-4k-instruct"),
    ("Phi-3-mini-4k-instruct-fp16.gguf", "F16", "Phi-3-mini-4k-instruct"),
    ("gemma-3-27b-it-q4_0.gguf", "Q4_0", "gemma-3-27b-it"),
    ("gemma-2b-it-fp32.gguf", "F32", "gemma-2b-it"),
    ("ggml-model-Q4_K.gguf", "Q4_K", "ggml-model"),
    ("ggml-model-Q5_K_S.gguf", "Q5_K_S", "ggml-model"),
    ("ggml-model-i2_s.gguf", "", "ggml-model-i2_s"),
    ("bitnet-b1.58-2B-4T-TQ2_0.gguf", "TQ2_0", "bitnet-b1.58-2B-4T"),
    ("stories15M.gguf", "", "stories15M"),
    ("tinyllama-1.1b-chat-v1.0-Q8_0.GGUF", "Q8_0", "tinyllama-1.1b-chat-v1.0"),
    ("Model.F16.Q6_K.gguf", "Q6_K", "Model.F16"),
    ("c4ai-command-r-v01-Q4_K_M_fixed.gguf", "Q4_K_M", "c4ai-command-r-v01-_fixed"),
    ("DeepSeek-V2-Lite-IQ2_KS.gguf", "IQ2_KS", "DeepSeek-V2-Lite"),
    ("DeepSeek-R1-IQ4_K_R4-00001-of-00009.gguf", "IQ4_K_R4", "DeepSeek-R1"),
    ("Ternary-Bonsai-8B-Q2_0.gguf", "Q2_0", "Ternary-Bonsai-8B"),
    ("falcon-h1-34b-instruct-q4_1.gguf", "Q4_1", "falcon-h1-34b-instruct"),
    ("granite-4.0-h-small-Q4_K_S.gguf", "Q4_K_S", "granite-4.0-h-small"),
    ("Q4_K_M.gguf", "Q4_K_M", ""),
    ("q8-tuned.gguf", "Q8", "tuned"),
    ("xQ4_K_Mx.gguf", "", "xQ4_K_Mx"),
]


@pytest.mark.parametrize(("name", "label", "model"), NAMES, ids=[name for name, _, _ in NAMES])
def test_publishers_names(name: str, label: str, model: str) -> None:
    assert label_of(name) == label
    assert model_of(name) == model
    (one,) = group([WeightFile(name, 1)]).sets or [None]  # a shard alone is no set
    assert one is None or one.quant == label


# Words that people put in front of projectors, adapters, drafts and matrices, and in the names of models as well.
@pytest.mark.parametrize(
    "name",
    [
        "Qwen3.6-27B-MTP-Q4_K_M.gguf",
        "alpaca-lora-7b.Q4_K_M.gguf",
        "Llama-3-8B-imatrix-Q4_K_M.gguf",
        "rwkv-eagle-7b-Q4_0.gguf",
        "Medusa-1.1-L2-7B-Q8_0.gguf",
        "llama-adapter-v2-Q4_0.gguf",
        "mmproj-F16.gguf",
        "ggml-vocab-llama-bpe.gguf",
        "MODEL.GGUF",
    ],
)
def test_every_gguf_file_is_for_its_header_to_say(name: str) -> None:
    (one,) = group([WeightFile(name, 1)]).sets
    assert one.files == (WeightFile(name, 1),)


@pytest.mark.parametrize("name", ["README.md", "imatrix_unsloth.dat", "imatrix_unsloth.gguf_file", "gguf", ""])
def test_what_is_no_gguf_file_is_no_set(name: str) -> None:
    assert group([WeightFile(name, 1)]).sets == ()


@pytest.mark.parametrize(
    ("sets", "names"),
    [
        (["M-Q4_0.gguf"], ["org/m"]),
        (["M-Q4_0.gguf", "M-Q8_0.gguf"], ["org/m:Q4_0", "org/m:Q8_0"]),
        (["A-Q4_0.gguf", "B-Q4_0.gguf", "B-Q8_0.gguf"], ["org/m:A-Q4_0.gguf", "org/m:B-Q4_0.gguf", "org/m:Q8_0"]),
        (["strange.gguf", "M-Q8_0.gguf"], ["org/m:strange.gguf", "org/m:Q8_0"]),
    ],
)
def test_what_to_type_for_one_of_several(sets: list[str], names: list[str]) -> None:
    offer = Offer("org/m", "hub", tuple(WeightSet(label_of(name), (WeightFile(name, 1),)) for name in sets))
    assert [typed_name(offer, one) for one in offer.sets] == names


@pytest.mark.parametrize("name", ["q4_k_m", "deep/A-Q4_K_M.gguf", "A-Q4_K_M", "a-q4_k_m.gguf", "deep/A-Q4_K_M"])
def test_a_set_goes_by_its_quantization_and_by_its_file(name: str) -> None:
    one = WeightSet("Q4_K_M", (WeightFile("deep/A-Q4_K_M.gguf", 1),))
    assert one.is_called(name)
    assert not one.is_called("A") and not one.is_called("")


def files(*names: str) -> list[WeightFile]:
    return [WeightFile(name, 100 + len(name)) for name in names]


def test_a_repository_becomes_sets_largest_first() -> None:
    grouping = group(
        files(
            "README.md",
            "M-Q4_K_M.gguf",
            "M-imatrix.dat",
            "M-Q8_0/M-Q8_0-00002-of-00003.gguf",
            "M-Q8_0/M-Q8_0-00003-of-00003.gguf",
            "M-Q8_0/M-Q8_0-00001-of-00003.gguf",
        )
    )
    assert [one.quant for one in grouping.sets] == ["Q8_0", "Q4_K_M"]
    assert [file.name[-19:-5] for file in grouping.sets[0].files] == [
        "00001-of-00003",
        "00002-of-00003",
        "00003-of-00003",
    ]
    assert grouping.notes == ()


def test_incomplete_sets_are_left_out_with_what_is_missing() -> None:
    grouping = group(files("M-Q8_0-00002-of-00004.gguf", "M-Q4_0.gguf"))
    assert [one.quant for one in grouping.sets] == ["Q4_0"]
    assert grouping.notes == ("M-Q8_0 is incomplete and left out: 3 of 4 shards are missing (00001, 00003, 00004).",)


@pytest.mark.parametrize(
    ("names", "quants", "said"),
    [
        (["M-Q8_0.gguf.part1of2", "M-Q8_0.gguf.part2of2"], [], "M-Q8_0.gguf is cut into raw pieces"),
        (["M-Q4_0-00003-of-00002.gguf"], [], "shard 3 of 2"),
        (["M-Q4_0-00000-of-00001.gguf"], [], "shard 0 of 1"),
        (
            ["M-Q4_0-00001-of-99999.gguf"],
            [],
            "99998 of 99999 shards are missing (00002, 00003, 00004, 00005, 00006",
        ),
        (
            ["M-Q4_0.gguf", "M-Q4_0-00001-of-00002.gguf", "M-Q4_0-00002-of-00002.gguf"],
            ["Q4_0"],
            "whole and in 2 shards",
        ),
        (["M-Q4_0-00001-of-00001.gguf"], ["Q4_0"], None),
        (["A/M-Q4_0.gguf", "B/M-Q4_0.gguf"], ["Q4_0", "Q4_0"], None),
        (["M-Q4_0-00001-of-00002.gguf", "M-Q4_0-00001-of-00001.gguf"], ["Q4_0"], "1 of 2 shards are missing"),
        (["notes.txt"], [], None),
        ([], [], None),
    ],
)
def test_odd_repositories(names: list[str], quants: list[str], said: str | None) -> None:
    grouping = group(files(*names))
    assert [one.quant for one in grouping.sets] == quants
    assert bool(grouping.notes) == (said is not None)
    assert (said or "") in " ".join(grouping.notes)


ANY_NAME = st.one_of(
    st.text(max_size=40),
    st.from_regex(r"[A-Za-z]{0,3}[-.]?(Q4_0|IQ1_S|f16)?(-0000[0-4]-of-0000[0-3])?\.(gguf|GGUF|txt)", fullmatch=True),
)


@given(st.lists(ANY_NAME, max_size=12, unique=True), st.randoms(use_true_random=False))
def test_no_file_is_used_twice_and_order_does_not_matter(names: list[str], random: Random) -> None:
    listing = files(*names)
    grouping = group(listing)
    used = [file for one in grouping.sets for file in one.files]
    assert len(used) == len(set(used))
    assert all(file.name.lower().endswith(".gguf") for file in used)
    random.shuffle(listing)
    assert group(listing) == grouping
