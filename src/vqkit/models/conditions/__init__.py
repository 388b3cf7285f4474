"""Conditions of a decoder: a class or a vector that it decodes under, beside the latents."""
