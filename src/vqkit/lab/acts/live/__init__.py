"""A training that another process runs: its log as it grows, in words, numbers and charts."""
