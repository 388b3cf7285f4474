"""Benchmarks and studies: `python benchmarks/NAME.py [--quick] [--json FILE]`. Never part of the tests."""
