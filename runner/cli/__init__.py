"""The command line: understand, do, print, and end with the right code."""
