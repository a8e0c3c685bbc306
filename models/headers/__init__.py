"""What a file of weights says about itself before its first weight byte. Pure."""
