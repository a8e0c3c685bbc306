"""The server: models that stay loaded, behind sockets, in the dialects that other programs speak."""
