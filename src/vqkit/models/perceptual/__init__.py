"""The perceptual objective: distances of reconstructions to signals in the features of a network that stays fixed."""
