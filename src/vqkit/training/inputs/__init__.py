"""Inputs of a run: held-out items, labels, batch size."""
