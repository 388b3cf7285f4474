"""The latent spaces of PCA, autoencoder, VAE and VQ-VAE: planes through them, and where ladders come from."""
