"""Timings against named peers, in one run: ``make bench``."""
