"""What the pinned llama.cpp knows of each architecture beyond the header's own numbers. Pure.

Source: llama-arch.cpp (names, recurrent and hybrid ones), `load_arch_hparams` of src/models/*.cpp (sliding windows,
recurrent layers) and `llama_model::create_memory` (which layers own a cache).
"""

from collections.abc import Mapping
from dataclasses import dataclass


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


KNOWN = _names(
    """
    llama llama4 deci falcon grok gpt2 gptneox mpt baichuan starcoder refact bert modern-bert nomic-bert
    nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert bloom stablelm qwen qwen2 qwen2moe qwen2vl qwen3
    qwen3moe qwen3next qwen3vl qwen3vlmoe qwen35 qwen35moe qwen4exp phi2 phi3 phimoe plamo plamo2 plamo3 codeshell
    orion internlm2 minicpm minicpm3 gemma gemma2 gemma3 gemma3n gemma4 gemma4-assistant gemma-embedding starcoder2
    mamba mamba2 maple jamba falcon-h1 xverse command-r cohere2 cohere2moe dbrx olmo olmo2 olmoe muse-glimmer
    openelm arctic deepseek deepseek2 deepseek2-ocr deepseek32 deepseek4 chatglm glm4 glm4moe glm-dsa bitnet t5
    t5encoder jais jais2 nemotron nemotron_h nemotron_h_moe exaone exaone4 exaone-moe rwkv6 rwkv6qwen2 rwkv7 arwkv7
    granite granitemoe granitehybrid graniteswitch granite_swa chameleon wavtokenizer-dec plm bailingmoe bailingmoe2
    bailingmoe3 dots1 dots3note arcee afmoe laguna ernie4_5 ernie4_5-moe hunyuan-moe hunyuan-dense hunyuan_vl hy_v3
    hy_v4 smollm3 gpt-oss lfm2 lfm2moe dream smallthinker llada llada-moe seed_oss grovemoe apertus minimax-01
    hrm_text minimax-m2 minimax-m3 cogvlm rnd1 pangu-embedded mistral3 eagle3 dflash mistral4 paddleocr mimo2 step35
    spark2_5 llama-embed maincoder kimi-linear kimi-k3 glm5-next talkie mellum nanbeige qwen3tts pockettts
    """
)

# Encoders have no output matrix; their embeddings are not tied to one.
ENCODERS = _names(
    "bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert wavtokenizer-dec"
)
# These compute no logits.
WITHOUT_LOGITS = ENCODERS | _names("gemma-embedding")
# Multiplies with the embeddings where they are: never a second copy on the output layer's device.
OUTPUT_ON_HOST = _names("bitnet")
# These keep nothing between calls: encoders, and models that denoise a whole text at once.
WITHOUT_MEMORY = ENCODERS | _names("gemma-embedding dream llada llada-moe rnd1")

RWKV = _names("rwkv6 rwkv6qwen2 rwkv7 arwkv7")
RECURRENT = RWKV | _names("mamba mamba2")
# Every layer has attention and a recurrent state.
BOTH_IN_ONE = _names("falcon-h1")
# Recurrent where a layer has no KV heads.
HYBRID_BY_HEADS = _names(
    "jamba plamo2 granitehybrid lfm2 lfm2moe nemotron_h nemotron_h_moe kimi-linear bailingmoe3 kimi-k3 glm5-next"
)
# Recurrent but for every n-th layer: the interval where the header does not say.
HYBRID_BY_INTERVAL: Mapping[str, int] = dict.fromkeys(_names("qwen3next qwen35 qwen35moe qwen4exp"), 4) | {
    "minimax-01": 8
}
# States on the way can be kept, to go back to (llama-arch.cpp: llm_arch_supports_rs_rollback).
ROLLED_BACK = _names(
    "kimi-k3 qwen35 qwen35moe qwen4exp deepseek4 glm5-next nemotron_h nemotron_h_moe lfm2 lfm2moe bailingmoe3"
)
# Their layers are the blocks run `num_loops` times.
LOOPED = _names("nanbeige")
# A layer more than blocks, whose one head remembers the adapter of each token.
WITH_ROUTER_LAYER = _names("graniteswitch")
# So many blocks from the first own their KV, and the others reuse it; of the second the header says how many reuse.
OWN_KV: Mapping[str, int] = {"gemma3n": 20}
SHARING_KV = _names("gemma4")
# Heads are as long as the header says, though the first block has none.
HEADLESS_FIRST = _names("plamo2")
# llama.cpp refuses to split their tensors over devices (llama-arch.cpp: llm_arch_supports_sm_tensor).
WITHOUT_TENSOR_SPLIT = _names(
    """
    grok mpt plamo2 minicpm3 gemma3n mamba mamba2 jamba falcon-h1 olmo2 olmoe deepseek2 deepseek32 hy_v4 dots3note
    glm-dsa bitnet t5 nemotron_h nemotron_h_moe granitehybrid minimax-01 minimax-m2 minimax-m3 mistral4 kimi-linear
    bailingmoe3 kimi-k3 glm5-next qwen3tts qwen4exp
    """
)
# Split, each device still has the whole of: every tensor and cache, or every cache
# (llama-model.cpp: llama_meta_device_get_split_state).
COPIED_WHOLE = _names("hrm_text")
CACHES_COPIED = COPIED_WHOLE | _names("deepseek4 lfm2 lfm2moe")
# Dense models whose headers speak of one expert.
ONE_EXPERT = _names("hunyuan_vl hunyuan-dense")
# In these each layer is one thing: attention, recurrence or feed-forward. None has KV heads but attention.
ONE_THING_PER_LAYER = frozenset({"nemotron_h", "nemotron_h_moe"})

# What the state of a recurrent layer is: a short convolution, Kimi's delta attention, a square for each head, Mamba's
# first form without groups; Mamba's second form where nothing is said.
SHORT_CONVOLUTION = _names("lfm2 lfm2moe")
DELTA_ATTENTION = _names("kimi-linear bailingmoe3 kimi-k3 glm5-next")
LINEAR_ATTENTION = _names("minimax-01")
WITHOUT_GROUPS = _names("mamba jamba")

# Their blocks for multi-token prediction can be loaded as heads of the model itself (graphs with LLM_GRAPH_TYPE_MTP in
# src/models/*.cpp); exaone4, bailingmoe2 and glm4 carry such tensors, and nothing computes them.
PREDICTS_AHEAD = _names(
    """
    qwen3next qwen35 qwen35moe glm4moe glm-dsa glm5-next deepseek2 deepseek32 deepseek4 step35 mimo2 hy_v3 cohere2moe
    bailingmoe3 nemotron_h_moe
    """
)

# Blocks for multi-token prediction are normally left out of the model; in these they are the model.
LOADS_PREDICTION = frozenset({"gemma4-assistant"})


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """How the sliding window is laid over the layers where the header does not say.

    Of every `period` layers one sees the whole context: the last, or the first with `full_first`; period 0 means
    that only the header's own pattern counts. `window` stands in for a missing key; `fixed` overrules the key.
    `blocks`: only the model of so many blocks has windows.
    """

    period: int = 0
    full_first: bool = False
    window: int = 0
    fixed: bool = False
    blocks: int | None = None


def _windows(window: SlidingWindow, names: str) -> dict[str, SlidingWindow]:
    return dict.fromkeys(_names(names), window)


# Any other architecture ignores the key `attention.sliding_window`, phi3 on purpose.
SLIDING_WINDOWS: Mapping[str, SlidingWindow] = {
    **_windows(SlidingWindow(), "gemma4 gemma4-assistant granite_swa lfm2 maple mimo2 spark2_5 step35"),
    **_windows(SlidingWindow(2), "gpt-oss"),
    **_windows(SlidingWindow(2, window=4096), "gemma2"),
    **_windows(SlidingWindow(3, full_first=True), "modern-bert"),
    **_windows(SlidingWindow(4), "afmoe cohere2 mellum muse-glimmer olmo2"),
    **_windows(SlidingWindow(4, full_first=True), "cohere2moe laguna"),
    **_windows(SlidingWindow(4, full_first=True, window=4096, fixed=True), "smallthinker"),
    **_windows(SlidingWindow(4, window=128), "exaone-moe"),
    **_windows(SlidingWindow(4, window=4096, blocks=64), "exaone4"),
    **_windows(SlidingWindow(4, window=8192, fixed=True), "llama4"),
    **_windows(SlidingWindow(5), "gemma3n"),
    **_windows(SlidingWindow(6), "gemma-embedding gemma3"),
    **_windows(SlidingWindow(8), "plamo3"),
}
# The window is on every layer with attention.
WINDOW_BY_HEADS = _names("lfm2")
