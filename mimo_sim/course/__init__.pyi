# The public names, listed once: type checkers read this file, and `__init__.py` loads from it.
from .penalty import draw_chattering as draw_chattering
from .penalty import draw_plateau as draw_plateau
from .penalty import draw_sweep as draw_sweep
from .penalty import plateau_height as plateau_height
from .penalty import sweep_penalties as sweep_penalties

__all__: list[str]
