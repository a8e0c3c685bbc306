"""The child process, `python -m runner.engine`: the only user of llama.cpp. Nobody imports it."""
