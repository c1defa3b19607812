"""Fuzzing of the answer decoder."""
