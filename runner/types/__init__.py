"""What every room speaks: frozen data and its JSON form. Pure."""
