"""What the tests of theory share."""

from hypothesis import strategies as st

import mimo_sim as ms

FIGURE_1 = ms.generators.superficial_preference()
HEADS = st.sampled_from(("gradient", "plain"))
