"""Sinks: write batches to tables and files.

``base`` holds what all share, ``warehouses/`` one file for each kind of database.
"""
