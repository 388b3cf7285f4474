"""Slow float64 implementations by other formulas than the code's: what the tests compare with."""
