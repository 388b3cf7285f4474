"""Adversaries of vqkit: discriminators of signals of one, two and three axes, and what they are shown."""
