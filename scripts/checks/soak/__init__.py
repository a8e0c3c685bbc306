"""Everything that a person and a bad day may do, at random and for long; what is left behind is counted."""
