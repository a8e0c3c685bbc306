"""A conversation as a prompt; the bytes of tokens as answer and thinking. Pure."""
