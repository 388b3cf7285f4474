"""A VAE that holds its divergence at the bits of an index, and the VQ-VAE that it becomes without training."""
