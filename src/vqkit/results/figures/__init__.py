"""Figures of results: what is drawn, and the drawing."""
