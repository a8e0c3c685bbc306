"""Bytes and seconds of a given layout; knows no preference. Pure."""
