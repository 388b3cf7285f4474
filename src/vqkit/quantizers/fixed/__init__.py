"""Codebooks that are drawn once and never learn."""
