"""Markdown as lines for a width, in pieces that can grow."""
