"""Calls of tools: what each family of models is told, and how its words are read and bound. Pure."""
