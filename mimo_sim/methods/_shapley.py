"""Shapley values of a game that is given by the value of every coalition."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import factorial

from torch import Tensor


def coalitions(num_players: int) -> Iterator[tuple[int, ...]]:
    """All coalitions of K players, in the order of the columns of :func:`shapley`.

    Columns are numbered from 0 to 2^K - 1. Player k is in a coalition if bit k of its column's
    number is set.
    """
    for column in range(2**num_players):
        yield tuple(k for k in range(num_players) if column >> k & 1)


def shapley(values: Tensor) -> Tensor:
    r"""What each player contributes, fairly shared.

    The Shapley value of player k is the mean over all orders of joining of what k adds:
    :math:`\varphi_k = \sum_{S \not\ni k} \frac{|S|!\,(K - |S| - 1)!}{K!} (v(S \cup k) - v(S))`.

    Parameters
    ----------
    values : Tensor (..., 2**K)
        v(S) in column ``sum(1 << k for k in S)``. The first column is the empty coalition, and the
        last one all players.

    Returns
    -------
    Tensor (..., K)
        They add up to ``values[..., -1] - values[..., 0]``.

    Raises
    ------
    ValueError
        If the number of columns is not a power of two, at least 2.

    Examples
    --------
    A set of players has the value 1 if player 0 alone is in it, 2 if both are, and 0 otherwise:

    >>> import torch
    >>> shapley(torch.tensor([0.0, 1.0, 0.0, 2.0]))
    tensor([1.5000, 0.5000])
    """
    columns = values.shape[-1]
    players = columns.bit_length() - 1
    if players < 1 or columns != 2**players:
        raise ValueError(f"`values` must have 2**K columns, K >= 1. Got {columns}.")
    weights = values.new_zeros(columns, players)
    for k in range(players):
        others = [j for j in range(players) if j != k]
        for size in range(players):
            share = factorial(size) * factorial(players - size - 1) / factorial(players)
            for rest in combinations(others, size):
                without = sum(1 << j for j in rest)
                weights[without, k] = -share
                weights[without | 1 << k, k] = share
    return values @ weights
