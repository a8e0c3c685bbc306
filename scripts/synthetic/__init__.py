"""Headers and weights of real geometries that nobody has to download."""
