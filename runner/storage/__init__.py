"""What is kept on this computer between runs: a file format a module."""
