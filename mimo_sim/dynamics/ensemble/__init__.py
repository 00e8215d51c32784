"""Thousands of runs of the toy at once."""

from mimo_sim.dynamics.ensemble.driver import simulate_ensemble

__all__ = ["simulate_ensemble"]
