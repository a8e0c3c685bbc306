"""Everything that decides and runs."""
