"""What is kept on disk, a file format a module, and where it lies."""
