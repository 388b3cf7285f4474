"""The version of vqkit: the one place where it stands (the build reads it from here too)."""

__version__ = "0.1.0"
