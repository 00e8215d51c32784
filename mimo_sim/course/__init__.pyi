# The public names, listed once: type checkers read this file, and `__init__.py` loads from it.
from .clips import draw_answers as draw_answers
from .clips import draw_words as draw_words
from .clips import grid_words as grid_words
from .figure1 import draw_conditions as draw_conditions
from .figure1 import draw_network as draw_network
from .figure1 import draw_race as draw_race
from .figure1 import draw_smoothing as draw_smoothing
from .figure1 import draw_waiting as draw_waiting
from .figure1 import draw_weights as draw_weights
from .own_network import SENSES as SENSES
from .own_network import draw_accuracies as draw_accuracies
from .own_network import installed as installed
from .own_network import three_senses as three_senses
from .penalty import draw_chattering as draw_chattering
from .penalty import draw_plateau as draw_plateau
from .penalty import draw_sweep as draw_sweep
from .penalty import plateau_height as plateau_height
from .penalty import sweep_penalties as sweep_penalties
from .stored import stored as stored
from .stored import stored_runs as stored_runs

__all__: list[str]
