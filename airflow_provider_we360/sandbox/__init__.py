"""A stand-in for the We360.ai API: a made-up company, its login server and its report."""
