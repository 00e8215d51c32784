"""Training runs of the toy, and what their trajectories say.

`simulate` trains one network, `simulate_ensemble` thousands of them. `simulate_early` and
`simulate_layered` train networks that fuse earlier or are deeper.
"""

from mimo_sim import _extras

__getattr__, __dir__, __all__ = _extras.attach(__name__, __file__)
