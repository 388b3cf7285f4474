"""Checkpoints and the state of a run as named tensors."""
