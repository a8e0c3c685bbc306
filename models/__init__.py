"""Names and weights, and the one tree of errors that all rooms raise; imports nothing of the runner."""
