"""Quantizers with an explicit codebook: nearest-code search, codebook learning, restart of dead codes."""
