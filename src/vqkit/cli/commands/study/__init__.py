"""The commands of ``vqkit study``."""
