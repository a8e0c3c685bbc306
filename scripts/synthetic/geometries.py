"""The shapes of well-known models, as their published GGUF files have them: hyperparameters and tensors.

Source: the config.json of each model and llama.cpp's conversion (tensor names and layout).
"""

from collections.abc import Iterator, Mapping

from scripts.synthetic.geometry import Attention, Dense, Geometry, Setting, base, collect, experts, ffn, moe, vectors
from scripts.synthetic.mixes import Named


def llama(title: str, size: Dense) -> Geometry:
    """Llama 3.1 and later: frequencies for long contexts, 128k tokens of context."""
    embd, layers, attention, width, vocabulary = size.embd, size.layers, size.attention, size.width, size.vocabulary

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "ffn_norm")
        yield from attention.tensors(i, embd)
        yield from ffn(i, embd, width)

    settings = {**base(embd, layers, 131072, width), **attention.settings(), "rope.freq_base": 5e5}
    settings |= {"rope.dimension_count": attention.head}
    tensors = (
        ("rope_freqs.weight", (attention.head // 2,)),
        *collect(embd, layers, vocabulary, block, tied=size.tied),
    )
    return Geometry(title, "llama", settings, tensors, vocabulary)


def mistral(title: str, size: Dense) -> Geometry:
    """Mistral's and other models with Llama's tensors but without its frequencies: 32k tokens of context."""
    like = llama(title, size)
    tensors = tuple(tensor for tensor in like.tensors if tensor[0] != "rope_freqs.weight")
    settings = {**like.settings, "context_length": 32768, "rope.freq_base": 1e8}
    return Geometry(title, "llama", settings, tensors, size.vocabulary, pre="tekken")


def _mixtral(title: str, embd: int, layers: int, heads: int, width: int, context: int) -> Geometry:
    attention, vocabulary = Attention(heads, 8), 32000

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "ffn_norm")
        yield from attention.tensors(i, embd)
        yield from experts(i, embd, width, 8)

    settings = {**base(embd, layers, context, width), **attention.settings(), **moe(8, 2)}
    settings |= {"rope.freq_base": 1e6, "rope.dimension_count": 128}
    tensors = collect(embd, layers, vocabulary, block)
    return Geometry(title, "llama", settings, tensors, vocabulary, "spm", imatrix=False)


def qwen2(title: str, size: Dense) -> Geometry:
    """Qwen 2.5."""
    embd, layers, attention, width, vocabulary = size.embd, size.layers, size.attention, size.width, size.vocabulary

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "ffn_norm")
        yield from attention.tensors(i, embd)
        yield from attention.biases(i)
        yield from ffn(i, embd, width)

    settings = {**base(embd, layers, 32768, width), **attention.settings(), "rope.freq_base": 1e6}
    tensors = collect(embd, layers, vocabulary, block, tied=size.tied)
    return Geometry(title, "qwen2", settings, tensors, vocabulary, pre="qwen2")


def _qwen2_moe() -> Geometry:
    embd, layers, vocabulary, attention = 2048, 24, 151936, Attention(16, 16)

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "ffn_norm", "ffn_gate_inp_shexp")
        yield from attention.tensors(i, embd)
        yield from attention.biases(i)
        yield from experts(i, embd, 1408, 60)
        yield from ffn(i, embd, 5632, "_shexp")

    settings = {**base(embd, layers, 8192, 5632), **attention.settings(), **moe(60, 4, 1408)}
    settings |= {"expert_shared_feed_forward_length": 5632, "rope.freq_base": 1e6}
    tensors = collect(embd, layers, vocabulary, block)
    return Geometry("Qwen1.5-MoE-A2.7B-Chat", "qwen2moe", settings, tensors, vocabulary, pre="qwen2")


def qwen3(title: str, size: Dense) -> Geometry:
    """Qwen 3, dense."""
    embd, layers, attention, width, vocabulary = size.embd, size.layers, size.attention, size.width, size.vocabulary

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "ffn_norm")
        yield from vectors(i, attention.head, "attn_q_norm", "attn_k_norm")
        yield from attention.tensors(i, embd)
        yield from ffn(i, embd, width)

    settings = {**base(embd, layers, 40960, width), **attention.settings(), "rope.freq_base": 1e6}
    tensors = collect(embd, layers, vocabulary, block, tied=size.tied)
    return Geometry(title, "qwen3", settings, tensors, vocabulary, pre="qwen2")


def qwen3_moe(title: str, embd: int, layers: int, attention: Attention, width: int) -> Geometry:
    """Qwen 3 with 128 experts of `width`, 8 of them used."""
    vocabulary = 151936

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "ffn_norm")
        yield from vectors(i, attention.head, "attn_q_norm", "attn_k_norm")
        yield from attention.tensors(i, embd)
        yield from experts(i, embd, width, 128)

    settings = {**base(embd, layers, 40960, 8 * width), **attention.settings(), **moe(128, 8, width)}
    settings |= {"rope.freq_base": 1e6}
    tensors = collect(embd, layers, vocabulary, block)
    return Geometry(title, "qwen3moe", settings, tensors, vocabulary, pre="qwen2")


def _gemma2() -> Geometry:
    embd, layers, width, vocabulary, attention = 3584, 42, 14336, 256000, Attention(16, 8, 256)

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")
        yield from attention.tensors(i, embd)
        yield from ffn(i, embd, width)

    settings = {**base(embd, layers, 8192, width), **attention.settings(), "attention.sliding_window": 4096}
    settings |= {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
    tensors = collect(embd, layers, vocabulary, block, tied=True)
    return Geometry("gemma-2-9b-it", "gemma2", settings, tensors, vocabulary, "spm")


def gemma3(title: str, size: Dense) -> Geometry:
    """Gemma 3: five of six layers see 1024 tokens."""
    embd, layers, attention, width, vocabulary = size.embd, size.layers, size.attention, size.width, size.vocabulary

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")
        yield from vectors(i, attention.head, "attn_q_norm", "attn_k_norm")
        yield from attention.tensors(i, embd)
        yield from ffn(i, embd, width)

    settings = {**base(embd, layers, 131072, width), **attention.settings(), "attention.sliding_window": 1024}
    settings |= {"rope.freq_base": 1e6, "rope.scaling.type": "linear", "rope.scaling.factor": 8.0}
    tensors = collect(embd, layers, vocabulary, block, tied=True)
    return Geometry(title, "gemma3", settings, tensors, vocabulary, "spm")


def _phi3() -> Geometry:
    embd, layers, width, vocabulary, attention = 3072, 32, 8192, 32064, Attention(32, 32, 96)

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "ffn_norm")
        yield f"blk.{i}.attn_qkv.weight", (embd, 3 * embd)
        yield f"blk.{i}.attn_output.weight", (embd, embd)
        yield f"blk.{i}.ffn_up.weight", (embd, 2 * width)
        yield f"blk.{i}.ffn_down.weight", (width, embd)

    settings: dict[str, Setting] = {**base(embd, layers, 131072, width), "attention.sliding_window": 262144}
    settings |= {"attention.head_count": 32, "attention.head_count_kv": 32, "rope.dimension_count": 96}
    settings |= {"rope.scaling.original_context_length": 4096, "rope.scaling.attn_factor": 1.19}
    factors = tuple((f"rope_factors_{name}.weight", (attention.head // 2,)) for name in ("long", "short"))
    tensors = (*factors, *collect(embd, layers, vocabulary, block))
    return Geometry("Phi-3-mini-128k-instruct", "phi3", settings, tensors, vocabulary, "spm")


def _deepseek2() -> Geometry:
    embd, layers, heads, vocabulary = 2048, 27, 16, 102400
    rank, rope, nope, value = 512, 64, 128, 128

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "ffn_norm")
        yield from vectors(i, rank, "attn_kv_a_norm")
        yield f"blk.{i}.attn_q.weight", (embd, heads * (nope + rope))
        yield f"blk.{i}.attn_kv_a_mqa.weight", (embd, rank + rope)
        yield f"blk.{i}.attn_k_b.weight", (nope, rank, heads)
        yield f"blk.{i}.attn_v_b.weight", (rank, value, heads)
        yield f"blk.{i}.attn_output.weight", (heads * value, embd)
        if i == 0:
            yield from ffn(i, embd, 10944)
        else:
            yield from experts(i, embd, 1408, 64)
            yield from ffn(i, embd, 2 * 1408, "_shexp")

    settings = {**base(embd, layers, 163840, 10944), **moe(64, 6, 1408)}
    settings |= {"attention.head_count": heads, "attention.head_count_kv": 1, "attention.kv_lora_rank": rank}
    settings |= {"attention.key_length": rank + rope, "attention.value_length": rank}
    settings |= {"attention.key_length_mla": nope + rope, "attention.value_length_mla": value}
    settings |= {"leading_dense_block_count": 1, "expert_shared_count": 2, "rope.dimension_count": rope}
    settings |= {"expert_weights_scale": 1.0}
    tensors = collect(embd, layers, vocabulary, block)
    return Geometry("DeepSeek-V2-Lite-Chat", "deepseek2", settings, tensors, vocabulary, pre="deepseek-llm")


def gpt_oss(title: str, layers: int, count: int) -> Geometry:
    """gpt-oss: 4 of `count` experts used, every other layer sees 128 tokens."""
    embd, vocabulary, attention = 2880, 201088, Attention(64, 8, 64)

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "post_attention_norm")
        yield from vectors(i, attention.heads, "attn_sinks")
        yield from attention.tensors(i, embd)
        yield from attention.biases(i)
        yield f"blk.{i}.attn_output.bias", (embd,)
        yield from experts(i, embd, embd, count)
        yield f"blk.{i}.ffn_gate_inp.bias", (count,)
        for name in ("gate", "up", "down"):
            yield f"blk.{i}.ffn_{name}_exps.bias", (embd, count)

    settings = {**base(embd, layers, 131072, embd), **attention.settings(), **moe(count, 4, embd)}
    settings |= {"attention.sliding_window": 128, "rope.freq_base": 150000.0}
    tensors = collect(embd, layers, vocabulary, block)
    return Geometry(title, "gpt-oss", settings, tensors, vocabulary, pre="gpt-4o")


def _command_r() -> Geometry:
    embd, layers, width, vocabulary, attention = 8192, 40, 22528, 256000, Attention(64, 64)

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm")
        yield from attention.tensors(i, embd)
        yield from ffn(i, embd, width)

    settings = {**base(embd, layers, 131072, width), **attention.settings(), "logit_scale": 0.0625}
    settings |= {"attention.layer_norm_epsilon": 1e-5, "rope.freq_base": 8e6}
    tensors = collect(embd, layers, vocabulary, block, tied=True)
    return Geometry("c4ai-command-r-v01", "command-r", settings, tensors, vocabulary, pre="command-r")


_GRANITE_SCALES: Mapping[str, Setting] = {
    "logit_scale": 16.0,
    "embedding_scale": 12.0,
    "residual_scale": 0.22,
    "attention.scale": 0.0078125,
}


def _granite() -> Geometry:
    embd, layers, width, vocabulary, attention = 4096, 40, 12800, 49155, Attention(32, 8)

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "ffn_norm")
        yield from attention.tensors(i, embd)
        yield from ffn(i, embd, width)

    settings = {**base(embd, layers, 131072, width), **attention.settings(), **_GRANITE_SCALES}
    settings |= {"rope.freq_base": 1e7, "rope.dimension_count": 128}
    tensors = collect(embd, layers, vocabulary, block, tied=True)
    return Geometry("granite-3.1-8b-instruct", "granite", settings, tensors, vocabulary, pre="refact")


def _granite_hybrid() -> Geometry:
    embd, layers, count, vocabulary, attention = 1536, 40, 64, 100352, Attention(12, 4)
    inner, state, heads, kernel = 2 * embd, 128, 48, 4
    conv = inner + 2 * state
    kv_heads = [attention.kv_heads if i in (5, 15, 25, 35) else 0 for i in range(layers)]

    def mamba(i: int) -> Iterator[Named]:
        yield f"blk.{i}.ssm_in.weight", (embd, inner + conv + heads)
        yield f"blk.{i}.ssm_conv1d.weight", (kernel, conv)
        yield f"blk.{i}.ssm_conv1d.bias", (conv,)
        yield f"blk.{i}.ssm_dt.bias", (heads,)
        yield f"blk.{i}.ssm_a", (1, heads)
        yield f"blk.{i}.ssm_d", (1, heads)
        yield f"blk.{i}.ssm_norm.weight", (inner, 1)
        yield f"blk.{i}.ssm_out.weight", (inner, embd)

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "ffn_norm")
        yield from attention.tensors(i, embd) if kv_heads[i] else mamba(i)
        yield from experts(i, embd, 512, count)
        yield from ffn(i, embd, 1024, "_shexp")

    settings = {**base(embd, layers, 131072, 512), **attention.settings(), **moe(count, 6)}
    settings |= {**_GRANITE_SCALES, "attention.head_count_kv": kv_heads, "expert_shared_feed_forward_length": 1024}
    settings |= {"ssm.conv_kernel": kernel, "ssm.inner_size": inner, "ssm.state_size": state}
    settings |= {"ssm.time_step_rank": heads, "ssm.group_count": 1, "rope.dimension_count": 128}
    tensors = collect(embd, layers, vocabulary, block, tied=True)
    return Geometry("granite-4.0-h-tiny", "granitehybrid", settings, tensors, vocabulary, pre="dbrx")


def glm4_moe(title: str, size: Dense, width: int, count: int, rope: int) -> Geometry:
    """GLM 4.5: `count` experts of this width, of which a token uses 8; the last layer predicts further tokens."""
    embd, layers, attention, vocabulary = size.embd, size.layers, size.attention, size.vocabulary

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "post_attention_norm")
        yield from attention.tensors(i, embd)
        yield from attention.biases(i)
        if i == 0:
            yield from ffn(i, embd, size.width)
        else:
            yield from experts(i, embd, width, count)
            yield f"blk.{i}.exp_probs_b.bias", (count,)
            yield from ffn(i, embd, width, "_shexp")
        if i == layers - 1:
            yield from prediction(i)

    def prediction(i: int) -> Iterator[Named]:
        yield f"blk.{i}.nextn.eh_proj.weight", (2 * embd, embd)
        for name in ("embed_tokens", "shared_head_head"):
            yield f"blk.{i}.nextn.{name}.weight", (embd, vocabulary)
        yield from vectors(i, embd, "nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")

    settings = {**base(embd, layers, 131072, size.width), **attention.settings(), **moe(count, 8, width)}
    settings |= {"expert_shared_count": 1, "leading_dense_block_count": 1, "nextn_predict_layers": 1}
    settings |= {"expert_weights_scale": 1.0, "expert_weights_norm": True, "rope.dimension_count": rope}
    tensors = collect(embd, layers, vocabulary, block)
    return Geometry(title, "glm4moe", settings, tensors, vocabulary, pre="glm4")


def qwen35(title: str, size: Dense) -> Geometry:
    """Qwen 3.5: of four layers three have a recurrent state; behind them one that predicts further tokens."""
    embd, layers, attention, vocabulary = size.embd, size.layers, size.attention, size.vocabulary
    state, groups, heads, kernel = 64, 2, 4, 4
    inner = heads * state

    def delta(i: int) -> Iterator[Named]:
        yield f"blk.{i}.attn_qkv.weight", (embd, 2 * groups * state + inner)
        yield f"blk.{i}.attn_gate.weight", (embd, inner)
        yield f"blk.{i}.ssm_conv1d.weight", (kernel, 2 * groups * state + inner)
        yield f"blk.{i}.ssm_dt.bias", (heads,)
        yield f"blk.{i}.ssm_a", (heads,)
        for name in ("ssm_alpha", "ssm_beta"):
            yield f"blk.{i}.{name}.weight", (embd, heads)
        yield f"blk.{i}.ssm_norm.weight", (state,)
        yield f"blk.{i}.ssm_out.weight", (inner, embd)

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "post_attention_norm")
        yield from ffn(i, embd, size.width)
        if i < layers and (i + 1) % 4:
            yield from delta(i)
            return
        yield f"blk.{i}.attn_q.weight", (embd, 2 * attention.heads * attention.head)  # and its gate
        yield from (one for one in attention.tensors(i, embd) if not one[0].endswith("attn_q.weight"))
        yield from vectors(i, attention.head, "attn_q_norm", "attn_k_norm")
        if i == layers:
            yield f"blk.{i}.nextn.eh_proj.weight", (2 * embd, embd)
            yield from vectors(i, embd, "nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")

    settings = {**base(embd, layers + 1, 262144, size.width), **attention.settings(), "rope.freq_base": 1e7}
    settings |= {"nextn_predict_layers": 1, "full_attention_interval": 4, "rope.dimension_count": attention.head // 4}
    settings |= {"rope.dimension_sections": [attention.head // 16, attention.head // 16, 0, 0]}
    settings |= {"ssm.conv_kernel": kernel, "ssm.inner_size": inner, "ssm.state_size": state}
    settings |= {"ssm.time_step_rank": heads, "ssm.group_count": groups}
    tensors = collect(embd, layers + 1, vocabulary, block, tied=size.tied)
    return Geometry(title, "qwen35", settings, tensors, vocabulary, pre="qwen35")


def step35(title: str, size: Dense, heads: int, window: int) -> Geometry:
    """Step 3.5 without its experts: every other layer has a window; so many layers predict one token further each."""
    embd, layers, attention, vocabulary = size.embd, size.layers, size.attention, size.vocabulary

    def block(i: int) -> Iterator[Named]:
        yield from vectors(i, embd, "attn_norm", "ffn_norm")
        yield from attention.tensors(i, embd)
        yield f"blk.{i}.attn_gate.weight", (embd, attention.heads)
        yield from ffn(i, embd, size.width)
        if i >= layers:
            yield f"blk.{i}.nextn.eh_proj.weight", (2 * embd, embd)
            yield f"blk.{i}.nextn.shared_head_head.weight", (embd, vocabulary)
            yield from vectors(i, embd, "nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")

    settings = {**base(embd, layers + heads, 131072, size.width), **attention.settings(), "rope.freq_base": 5e6}
    settings |= {"nextn_predict_layers": heads, "rope.dimension_count": attention.head}
    settings |= {
        "attention.sliding_window": window,
        "attention.sliding_window_pattern": [i % 2 > 0 for i in range(layers)],
    }
    settings |= {"expert_feed_forward_length": size.width}
    tensors = collect(embd, layers + heads, vocabulary, block, tied=size.tied)
    return Geometry(title, "step35", settings, tensors, vocabulary, pre="deepseek-v3")


MODELS: Mapping[str, Geometry] = {
    "llama-3.2-1b": llama("Llama-3.2-1B-Instruct", Dense(2048, 16, Attention(32, 8, 64), 8192, 128256, tied=True)),
    "llama-3.1-8b": llama("Llama-3.1-8B-Instruct", Dense(4096, 32, Attention(32, 8), 14336, 128256)),
    "llama-3.3-70b": llama("Llama-3.3-70B-Instruct", Dense(8192, 80, Attention(64, 8), 28672, 128256)),
    "llama-3.1-405b": llama("Llama-3.1-405B-Instruct", Dense(16384, 126, Attention(128, 8), 53248, 128256)),
    "mistral-small-24b": mistral("Mistral-Small-24B-Instruct", Dense(5120, 40, Attention(32, 8), 32768, 131072)),
    "mixtral-8x7b": _mixtral("Mixtral-8x7B-Instruct-v0.1", 4096, 32, 32, 14336, 32768),
    "mixtral-8x22b": _mixtral("Mixtral-8x22B-v0.1", 6144, 56, 48, 16384, 65536),
    "qwen2.5-7b": qwen2("Qwen2.5-7B-Instruct", Dense(3584, 28, Attention(28, 4), 18944, 152064)),
    "qwen1.5-moe-a2.7b": _qwen2_moe(),
    "qwen3-8b": qwen3("Qwen3-8B", Dense(4096, 36, Attention(32, 8), 12288, 151936)),
    "qwen3-30b-a3b": qwen3_moe("Qwen3-30B-A3B", 2048, 48, Attention(32, 4), 768),
    "gemma-2-9b": _gemma2(),
    "gemma-3-27b": gemma3("gemma-3-27b-it", Dense(5376, 62, Attention(32, 16), 21504, 262208)),
    "phi-3-mini": _phi3(),
    "deepseek-v2-lite": _deepseek2(),
    "gpt-oss-20b": gpt_oss("gpt-oss-20b", 24, 32),
    "command-r": _command_r(),
    "granite-3.1-8b": _granite(),
    "granite-4.0-h-tiny": _granite_hybrid(),
    "glm-4.5-air": glm4_moe("GLM-4.5-Air", Dense(4096, 47, Attention(96, 8), 10944, 151552), 1408, 128, 64),
}
