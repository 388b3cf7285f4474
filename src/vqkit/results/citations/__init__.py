"""BibTeX of parts, measures and runs."""
