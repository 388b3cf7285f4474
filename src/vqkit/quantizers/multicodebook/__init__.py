"""Quantizers of several codebooks that are solved for, without gradients: product and additive quantization."""
