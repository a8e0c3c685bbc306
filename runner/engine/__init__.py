"""The engine process, `python -m runner.engine`: the only user of llama.cpp. Nobody imports it."""
