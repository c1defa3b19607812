"""Sensors that wait for a report."""
