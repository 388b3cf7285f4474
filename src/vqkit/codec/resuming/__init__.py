"""Resuming an interrupted compression: finished groups are kept, and byte for byte the same file results."""
