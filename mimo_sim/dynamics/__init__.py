"""Training runs of the late-fusion toy: one function, interchangeable engines."""

from mimo_sim.dynamics.driver import ENGINES, rerun, simulate

__all__ = ["ENGINES", "rerun", "simulate"]
