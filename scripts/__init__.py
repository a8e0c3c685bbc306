"""Helpers that are run by hand or imported by tests; no part of the installed program."""
