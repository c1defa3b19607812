"""Operators that move a report's rows into a target."""
