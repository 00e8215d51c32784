"""Hypothesis profiles and the fixtures that several files share."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from mimo_sim._extras import MissingExtraError

# no deadline: the first example may compile
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("deep", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


# In an installation without the extra `train` the tests that need torch are left out.
HERE = Path(__file__).resolve().parent
collect_ignore = [
    str(path)
    for path in HERE.rglob("test_*.py")
    if find_spec("torch") is None and "torch" in path.read_text()
]


def pytest_collection_finish() -> None:
    """Thousands of tests and modules stay to the end: the garbage collector need not look at them.

    Otherwise it does so again and again, and the suite takes a tenth longer.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Start torch's own stream anew for each test; skip a test whose extra is not installed.

    A test that draws from that stream would otherwise depend on the tests before it.
    """
    if torch := sys.modules.get("torch"):
        torch.random.manual_seed(0)
    with skipped_without_its_extra():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """Skip a test whose fixtures need an extra which is not installed."""
    with skipped_without_its_extra():
        return (yield)


@contextmanager
def skipped_without_its_extra() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        for cause in (error, error.__context__):
            if isinstance(cause, MissingExtraError):
                pytest.skip(str(cause))
        raise


@pytest.fixture(scope="module")
def dynamic_sizes() -> Iterator[None]:
    """Compile the exact engine once for all shapes.

    Otherwise it is compiled again for each small shape that a property test draws.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mimo_sim.dynamics.engines.gram.STATIC_SIZE", 0)
        yield
