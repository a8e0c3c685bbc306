"""The screen: one consumer of the runner, never the other way round."""
