"""Weights that are on this machine already, whoever put them there, and headers read before."""
