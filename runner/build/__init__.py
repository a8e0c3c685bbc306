"""Which llama.cpp to install, and how. The standard library only: it runs before anything is installed."""
