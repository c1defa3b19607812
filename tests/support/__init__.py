"""Servers and fakes that tests share."""
