"""The packages that tests import, loaded once; what is forked from here has them already."""

import hypothesis.extra.numpy  # noqa: F401
import lightning_fabric  # noqa: F401
import matplotlib.figure  # noqa: F401
import numba  # noqa: F401
import pytest  # noqa: F401
import scipy.integrate
import scipy.optimize
import scipy.stats  # noqa: F401
import sklearn.linear_model  # noqa: F401
import torch  # noqa: F401
import xarray  # noqa: F401
