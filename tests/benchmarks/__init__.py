"""Speed and memory of a load, beside a hand-written pipeline that does nothing but move rows. Run by ``make bench``."""
