"""Triggers: what a deferred sensor leaves to the triggerer."""
