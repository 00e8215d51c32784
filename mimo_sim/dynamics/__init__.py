"""Training runs of the toy: `simulate` one, `simulate_ensemble` thousands, and what their trajectories say."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
