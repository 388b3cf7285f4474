"""Measures of vectors: angle, recall of neighbours, and how many share their indices."""
