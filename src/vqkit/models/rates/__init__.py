"""Bit rates of models: what they are, which were asked for, and settings that have given ones."""
