"""Rows: columns, their conversion from the wire to typed values, and the batches they travel in."""
