"""Fixtures of this folder's tests."""

from tests.benchmark.runs import results, tiny_data

__all__ = ["results", "tiny_data"]
