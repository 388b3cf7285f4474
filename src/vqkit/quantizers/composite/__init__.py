"""Quantizers made of quantizers: product, residual, and behind a linear projection."""
