"""Widgets: each draws frozen data it is given and knows no engine."""
