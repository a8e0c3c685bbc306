"""What every room speaks: frozen data and its JSON form, protocols, readers of sizes, numbers and failures. Pure."""
