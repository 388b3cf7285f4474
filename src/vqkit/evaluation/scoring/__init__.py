"""Scores of items as files: tables, maps, and what a run keeps of its held-out items."""
