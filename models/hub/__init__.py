"""The Hugging Face Hub: listings, byte ranges, downloads."""
