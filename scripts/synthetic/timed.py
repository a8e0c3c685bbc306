"""More shapes of well-known models: those whose speed somebody published, and which no other check needs.

Source: the config.json of each model, as in geometries.py.
"""

from collections.abc import Mapping

from scripts.synthetic.geometries import MODELS, gemma3, gpt_oss, llama, mistral, qwen2, qwen3, qwen3_moe
from scripts.synthetic.geometry import Attention, Dense, Geometry

TIMED: Mapping[str, Geometry] = {
    **MODELS,
    "llama-2-7b": mistral("Llama-2-7B", Dense(4096, 32, Attention(32, 32), 11008, 32000)),
    "tinyllama-1.1b": mistral("TinyLlama-1.1B", Dense(2048, 22, Attention(32, 4, 64), 5632, 32000)),
    "llama-3.2-1b": llama("Llama-3.2-1B", Dense(2048, 16, Attention(32, 8, 64), 8192, 128256, tied=True)),
    "llama-3.2-3b": llama("Llama-3.2-3B", Dense(3072, 28, Attention(24, 8), 8192, 128256, tied=True)),
    "mistral-7b": mistral("Mistral-7B-v0.3", Dense(4096, 32, Attention(32, 8), 14336, 32768)),
    "mistral-nemo-12b": mistral("Mistral-Nemo-12B", Dense(5120, 40, Attention(32, 8), 14336, 131072)),
    "phi-4": mistral("phi-4", Dense(5120, 40, Attention(40, 10), 17920, 100352)),
    "qwen2.5-14b": qwen2("Qwen2.5-14B", Dense(5120, 48, Attention(40, 8), 13824, 152064)),
    "qwen2.5-32b": qwen2("Qwen2.5-32B", Dense(5120, 64, Attention(40, 8), 27648, 152064)),
    "qwen3-4b": qwen3("Qwen3-4B", Dense(2560, 36, Attention(32, 8), 9728, 151936, tied=True)),
    "qwen3-14b": qwen3("Qwen3-14B", Dense(5120, 40, Attention(40, 8), 17408, 151936)),
    "qwen3-32b": qwen3("Qwen3-32B", Dense(5120, 64, Attention(64, 8), 25600, 151936)),
    "qwen3-235b-a22b": qwen3_moe("Qwen3-235B-A22B", 4096, 94, Attention(64, 4), 1536),
    "gemma-3-4b": gemma3("gemma-3-4b-it", Dense(2560, 34, Attention(8, 4, 256), 10240, 262208)),
    "gemma-3-12b": gemma3("gemma-3-12b-it", Dense(3840, 48, Attention(16, 8, 256), 15360, 262208)),
    "gpt-oss-120b": gpt_oss("gpt-oss-120b", 36, 128),
}
