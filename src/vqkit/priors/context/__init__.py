"""The exact context prior: integer probabilities for entropy coding."""
