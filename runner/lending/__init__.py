"""Lend this machine's devices: the port that others come to, what they use, and the backend that computes for them."""
