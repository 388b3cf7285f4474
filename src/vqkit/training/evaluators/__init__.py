"""Evaluation during and after training, within the time that a run has for it."""
