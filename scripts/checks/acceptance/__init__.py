"""The planner held against a real GPU: bytes, speed, and llama.cpp's own --fit."""
