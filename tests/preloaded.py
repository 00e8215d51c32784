"""What forked processes of the tests have in memory when they start (:mod:`tests.processes`)."""

import matplotlib.backends.backend_agg
import matplotlib.backends.backend_pdf
import matplotlib.backends.backend_svg
import matplotlib.figure  # noqa: F401
import xarray  # noqa: F401

import mimo_sim.cli
import mimo_sim.dynamics.engines.gram
import mimo_sim.dynamics.ensemble
import mimo_sim.plots.figure1
import mimo_sim.studies.figure1
import mimo_sim.testing  # noqa: F401
