"""Codebook health and non-finite values during training."""
