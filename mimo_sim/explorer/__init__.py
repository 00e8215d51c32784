"""The explorer: one HTML page that trains the toy in a browser while a reader moves sliders.

Its engine is the generated step of :mod:`mimo_sim.dynamics.ensemble.step`, translated to
JavaScript. So the page shows the same numbers as :func:`mimo_sim.simulate`.
"""

from mimo_sim.explorer._page import page, write

__all__ = ["page", "write"]
