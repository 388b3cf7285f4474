"""Streams: signals of one axis, encoded and decoded chunk by chunk."""
