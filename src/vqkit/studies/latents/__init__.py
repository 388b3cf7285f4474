"""The study of latents: the plane of two latent numbers, of an autoencoder beside a VAE."""
