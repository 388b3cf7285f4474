"""Tests of vqkit.objectives."""
