"""Facts as words, tables and JSON, the same for every front end. Pure."""
