# The public names, listed once: type checkers read this file, and `__init__.py` loads from it.
from .deep import deep_order_threshold as deep_order_threshold
from .deep import deep_time_ratio as deep_time_ratio
from .deep import delay_factor as delay_factor
from .early import growth_matrix as growth_matrix
from .emergence import EmergenceChain as EmergenceChain
from .emergence import OrderChange as OrderChange
from .emergence import emergence_chain as emergence_chain
from .emergence import mimo_learning_times as mimo_learning_times
from .emergence import order_thresholds as order_thresholds
from .joint import learning_times as learning_times
from .joint import misattribution as misattribution
from .joint import time_ratio as time_ratio
from .landscape import sufficient_width as sufficient_width
from .landscape import worst_gap_bound as worst_gap_bound
from .mimo import conserved_quantity as conserved_quantity
from .mimo import final_encoder_norms as final_encoder_norms
from .mimo import growth_rates as growth_rates
from .mimo import order_threshold as order_threshold
from .noise import extrapolation_reach as extrapolation_reach
from .noise import minimum_bias as minimum_bias
from .noise import noisy_sigma as noisy_sigma
from .noise import smoothed_noise as smoothed_noise
from .noise import sufficient_decay as sufficient_decay
from .optimization import chattering_threshold as chattering_threshold
from .optimization import default_step_size as default_step_size
from .optimization import smoothness as smoothness
from .predictions import summary as summary
from .preference import PreferenceReport as PreferenceReport
from .preference import correlations as correlations
from .preference import superficial_preference as superficial_preference
from .rules import rule_growth_rates as rule_growth_rates
from .rules import scalarization_time_ratio as scalarization_time_ratio

__all__: list[str]
