"""The folder of a run: configuration, provenance, log, and what may resume it."""
