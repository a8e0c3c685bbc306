"""From what a person typed to the weights it means."""
