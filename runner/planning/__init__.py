"""Which layout, context and quantization, and why: searches over what `cost` computes. Pure."""
