"""Install what this machine needs; build llama.cpp's own programs."""
