"""Grids of training runs on real data: planned, done on several processes, recorded, compared, timed."""
