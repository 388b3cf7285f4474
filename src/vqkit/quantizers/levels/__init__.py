"""Quantizers of several levels, coarse to fine: each level has codes on a grid of its own."""
