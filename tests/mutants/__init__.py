"""Measure what the tests catch: `make mutants`."""
