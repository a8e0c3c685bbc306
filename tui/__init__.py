"""The screens: one consumer of the runner, which knows nothing of them."""
