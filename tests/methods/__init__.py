"""Tests of the balancing methods for networks."""
