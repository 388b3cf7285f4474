"""Whole experiments; each writes a report."""
