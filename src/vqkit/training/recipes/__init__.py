"""Trainings of several stages: tokens and a prior, crops and a pixel prior."""
