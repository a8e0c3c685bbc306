"""From a name to a plan, to files, to a loaded model; what needs no plan (doctor, worker, list, rm) goes past it."""
