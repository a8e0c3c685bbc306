"""`python -m tests.support.plain_llama FILE POOLING TEXT...`: llama.cpp's own vectors, text by text, as one JSON list.

A process of its own with nothing of ours in it, but that it attends without flash attention, as ours does.
"""

import ctypes
import json
import math
import sys

from llama_cpp import llama_cpp as C


def main(path: str, pooling: str, *texts: str) -> None:
    """Print the vectors, each of length 1; scores as they are, where `pooling` is 4 (rank)."""
    C.llama_log_set(_SILENT, None)
    C.llama_backend_init()
    model = C.llama_model_load_from_file(path.encode(), C.llama_model_default_params())
    params = C.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = 512
    params.embeddings, params.pooling_type, params.flash_attn_type = True, int(pooling), 0
    context = C.llama_init_from_model(model, params)
    width = C.llama_model_n_cls_out(model) if pooling == "4" else C.llama_model_n_embd_out(model)
    print(json.dumps([_vector(context, model, text, width, raw=pooling == "4") for text in texts]))


def _vector(context: object, model: object, text: str, width: int, *, raw: bool) -> list[float]:
    data = text.encode()
    tokens = (C.llama_token * (len(data) + 8))()
    vocabulary = C.llama_model_get_vocab(model)
    count = C.llama_tokenize(vocabulary, data, len(data), tokens, len(tokens), True, raw)
    C.llama_memory_clear(C.llama_get_memory(context), True)
    batch = C.llama_batch_get_one(tokens, count)
    assert C.llama_decode(context, batch) == 0
    address = C.llama_get_embeddings_seq(context, 0)
    values = [float(value) for value in ctypes.cast(address, ctypes.POINTER(ctypes.c_float))[:width]]
    length = 1.0 if raw else math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


_SILENT = C.llama_log_callback(lambda _level, _text, _data: None)

if __name__ == "__main__":
    main(*sys.argv[1:])
