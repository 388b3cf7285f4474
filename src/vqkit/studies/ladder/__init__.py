"""``compare`` and ``demo``: PCA, autoencoder, VAE and VQ-VAE at equal bits."""
