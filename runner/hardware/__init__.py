"""This computer, or one that is described in words, as a Machine; and its meters."""
