"""Speed as ratios, measured in turns."""
