"""Our numbers against llama.cpp's, the Hub's and published ones; fuzzing; acceptance on a GPU."""
