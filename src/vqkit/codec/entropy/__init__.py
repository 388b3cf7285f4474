"""Entropy models of indices: uniform, a histogram, or an exact prior."""
