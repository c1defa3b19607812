"""Operators that move no rows."""
