"""From a name to a plan, to files, to a loaded model: all that a front end may ask for."""
