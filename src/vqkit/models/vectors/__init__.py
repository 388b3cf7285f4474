"""Models of vectors without networks: product, optimized product and residual quantization."""
