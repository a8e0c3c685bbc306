"""The ledger held against llama.cpp's own memory breakdown, device by device."""
