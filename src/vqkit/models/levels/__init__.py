"""VQ-VAEs whose codes have levels, coarse to fine: hierarchical, and multi-scale residual."""
