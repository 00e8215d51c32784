"""Figures of finished benchmark runs, one file per kind."""
