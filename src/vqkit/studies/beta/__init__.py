"""The study of beta: error, rate and active units of a VAE over the weight of its KL term."""
