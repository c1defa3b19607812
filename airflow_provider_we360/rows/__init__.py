"""Rows: what a column is, how its wire form becomes a typed value, and the Arrow batch it travels in."""
