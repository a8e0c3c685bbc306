"""The parent's end of an engine process: start it, ask it, hear it out."""
