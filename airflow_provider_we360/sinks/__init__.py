"""Sinks: where batches land. ``base`` says what is asked of one, ``warehouses/`` holds one file for each."""
