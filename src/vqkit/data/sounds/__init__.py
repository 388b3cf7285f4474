"""Sound files: folders and tables of them, read whole or in parts, at one sample rate."""
