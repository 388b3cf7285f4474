"""``compare`` of vectors: product, optimized product and residual quantization beside a VQ-VAE, at equal bytes."""
