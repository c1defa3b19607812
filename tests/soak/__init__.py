"""Random mixes of faults, drift and aborted tasks, each from a seed, each load compared with the truth row by row."""
