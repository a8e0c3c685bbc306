"""Names and weights; knows nothing about machines."""
