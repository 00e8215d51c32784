"""Training runs of the toy: `simulate` one, `simulate_ensemble` thousands, and what their trajectories say."""

from mimo_sim import _extras

__getattr__, __dir__, __all__ = _extras.attach(__name__, __file__)
