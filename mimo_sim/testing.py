r"""Hypothesis strategies: random problems, solvers and initial weights for your own tests.

Everything is made of small multiples of simple fractions. When a test fails, hypothesis *shrinks*
the case: it looks for a simpler one. It ends at few modalities, few dimensions, identity moments
and unit weights. Needs ``hypothesis`` (``pip install mimo_sim[testing]``).

Examples
--------
>>> from hypothesis import given
>>> import mimo_sim as ms
>>> @given(ms.testing.problems(output_dim=1))
... def test_my_bound(problem): ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, get_args

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mimo_sim._blocks import columns, split_both, split_columns
from mimo_sim._checks import FloatArray, check_choice, check_count
from mimo_sim.generators import FAMILIES, Requirement
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO, FStarRule, HeadUpdate, Solver, Vanilla

# V_k (m, h), U_k (m, h), W_k (h, d_k)
Weights: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]

# Inputs are mixed by a unit-triangular matrix. The spectral norm of its strictly lower part is at
# most MIXING, so the condition number of its Gram matrix is at most MAX_CONDITION = 49.
MIXING = 0.75
MAX_CONDITION = ((1 + MIXING) / (1 - MIXING)) ** 2
# For require="superficial": the range of |C_A| / |C_B|, and of the part of E|y|^2 that A and the
# others explain over the part that B explains.
LEAD = (1.25, 2.0)
SHARE = (0.5, 0.75)


def eighths(low: int, high: int) -> SearchStrategy[float]:
    """Multiples of 1/8 from low/8 to high/8. Floats hold them exactly; they shrink towards zero.

    Examples
    --------
    >>> lam = eighths(0, 80)  # 0 to 10
    """
    return st.integers(low, high).map(lambda n: n / 8)


_ONE_TO_THREE, _ONE_TO_TWO, _ONE_TO_SIX = st.integers(1, 3), st.integers(1, 2), st.integers(1, 6)
_NOISE, _LAM, _MU = eighths(0, 4), eighths(0, 80), eighths(1, 16)
_HEADS: SearchStrategy[HeadUpdate] = st.sampled_from(("gradient", "plain"))


def _drawn(draw: DrawFn, value: int | float | SearchStrategy[int] | SearchStrategy[float]) -> float:
    return draw(value) if isinstance(value, SearchStrategy) else value


def _whole(draw: DrawFn, name: str, value: int | SearchStrategy[int], least: int = 1) -> int:
    return check_count(name, int(_drawn(draw, value)), least)


def _numbers(draw: DrawFn, elements: SearchStrategy[float], *shape: int) -> FloatArray:
    count = int(np.prod(shape))
    numbers = draw(st.lists(elements, min_size=count, max_size=count))
    return np.array(numbers, dtype=float).reshape(shape)


def family(name: str, **parameters: SearchStrategy[Any]) -> SearchStrategy[LateFusionProblem]:
    """Problems of a named family, with parameters drawn from strategies.

    Parameters
    ----------
    name : str
        One of :data:`mimo_sim.generators.FAMILIES`.
    **parameters : strategies
        Of the family's parameters; the others keep their defaults.

    Returns
    -------
    strategy of LateFusionProblem

    Raises
    ------
    ValueError
        If no family has this name.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(family("scalar-pair", rho=eighths(-7, 7)), lambda p: p.num_modalities == 2).dims
    (1, 1)
    """
    check_choice("name", name, FAMILIES)
    return st.builds(FAMILIES[name], **parameters)


def problems(
    *,
    num_modalities: int | SearchStrategy[int] | None = None,
    dims: int | Sequence[int] | SearchStrategy[int] = _ONE_TO_THREE,
    output_dim: int | SearchStrategy[int] = _ONE_TO_TWO,
    require: Requirement = "none",
    noise: float | SearchStrategy[float] = _NOISE,
) -> SearchStrategy[LateFusionProblem]:
    r"""Late-fusion problems with correlated modalities, each of which has something to learn.

    Inputs are :math:`x = \mathrm{diag}(s) L z` with white z, L unit lower triangular and s one
    scale per modality. Before scaling, :math:`C_k = E[y x_k^T]` (m, d_k) has a leading entry of
    size at least 1/2. :math:`E[yy^T] = C S^{-1} C^T + \mathrm{noise}\,I`.

    Parameters
    ----------
    num_modalities : int or strategy, optional
        K >= 1; 1 to 3 by default (2 to 3 for ``require="superficial"``).
    dims : int, K ints, or strategy of int
        Input dimensions: the same for all, one each (which sets K), or drawn for each modality. 1
        to 3 by default.
    output_dim : int or strategy
        m >= 1; 1 to 2 by default. Laws for scalar targets need ``output_dim=1``.
    require : {"none", "superficial"}
        ``"superficial"``: modality A has the largest :math:`|C_k|`, but another one, B, explains
        more. :math:`|C_A|` is 1.25 to 2 times :math:`|C_B|`, and no other :math:`|C_k|` exceeds
        :math:`|C_B|`. Every modality but B explains 1/2 to 3/4 of what B explains. No draw is
        rejected, because such problems are constructed: to rescale the inputs of a modality changes
        :math:`|C_k|`, but not what it explains, :math:`tr C_k S_{kk}^{-1} C_k^T`.
    noise : float or strategy
        Variance of the noise on each output, >= 0; 0 to 1/2 by default.

    Returns
    -------
    strategy of LateFusionProblem
        Divide the inputs by their scales s: then `input_moment` has eigenvalues in [1/16, 49/16],
        so its condition number is at most 49. Scales lie in [1/2, 2] for ``require="none"``, and in
        [1/20, 20] otherwise.

    Raises
    ------
    ValueError
        For an unknown `require`. When drawn: for K = 1 with ``require="superficial"``, or a
        number below its least value.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(problems(), lambda p: True)
    LateFusionProblem(dims=(1,), output_dim=1, unimodal_optima=[0], joint_optimum=0)
    """
    check_choice("require", require, get_args(Requirement))
    superficial = require == "superficial"
    if isinstance(dims, Sequence):
        if isinstance(num_modalities, SearchStrategy) or num_modalities not in (None, len(dims)):
            raise ValueError(
                f"`num_modalities` must fit the {len(dims)} given `dims`, or be left out. "
                f"Got num_modalities={num_modalities}, dims={dims}."
            )
        num_modalities = len(dims)
    if num_modalities is None:
        num_modalities = st.integers(2 if superficial else 1, 3)
    return _problems(num_modalities, dims, output_dim, superficial, noise)


@st.composite
def _problems(
    draw: DrawFn,
    num_modalities: int | SearchStrategy[int],
    dims: int | Sequence[int] | SearchStrategy[int],
    output_dim: int | SearchStrategy[int],
    superficial: bool,
    noise: float | SearchStrategy[float],
) -> LateFusionProblem:
    count = _whole(draw, "num_modalities", num_modalities, least=2 if superficial else 1)
    sizes = [
        _whole(draw, "dims", dims[k] if isinstance(dims, Sequence) else dims) for k in range(count)
    ]
    m, total = _whole(draw, "output_dim", output_dim), sum(sizes)

    mixing = np.eye(total)
    below = _numbers(draw, eighths(-6, 6), total * (total - 1) // 2)
    mixing[np.tril_indices(total, -1)] = below / max(total - 1, 1)
    moment = mixing @ mixing.T
    cross = [_numbers(draw, eighths(-8, 8), m, d) / 2 for d in sizes]
    for block in cross:
        block[0, 0] = draw(st.sampled_from((1.0, -1.0, 0.5, 1.5, -0.5, -1.5, 2.0, -2.0)))
    if superficial:
        own = [moment[columns_k, columns_k] for columns_k in columns(sizes)]
        scales = _make_superficial(draw, cross, own)
    else:
        scales = np.array([draw(st.sampled_from((1.0, 2.0, 0.5, 1.5, 0.75))) for _ in sizes])

    stacked = np.hstack(cross)
    output = stacked @ np.linalg.solve(moment, stacked.T)
    output = (output + output.T) / 2 + _drawn(draw, noise) * np.eye(m)
    spread = np.repeat(scales, sizes)
    return LateFusionProblem(
        split_both(moment * np.outer(spread, spread), sizes),
        split_columns(stacked * spread, sizes),
        output,
    )


def _make_superficial(
    draw: DrawFn, cross: list[FloatArray], blocks: list[FloatArray]
) -> FloatArray:
    """Draw two modalities A and B, and make the preference for A superficial.

    `cross` is changed in place: every C_k but that of B shrinks, until modality k explains a drawn
    share of what B explains. Returns scales (K,) of the inputs. With these, A has the largest
    |C_k|.
    """
    every = range(len(cross))
    first = draw(st.sampled_from(every))
    most = draw(st.sampled_from([k for k in every if k != first]))
    explained = [
        float(np.sum(np.linalg.solve(block, c.T).T * c))
        for c, block in zip(cross, blocks, strict=True)
    ]
    for k in every:
        if k != most:
            share = draw(st.sampled_from((SHARE[0], 0.625, SHARE[1])))
            cross[k] *= np.sqrt(share * explained[most] / explained[k])
    size = np.array([np.linalg.norm(block, 2) for block in cross])
    wanted = np.array([1.0 if k == most else draw(st.sampled_from((1.0, 0.75))) for k in every])
    wanted[first] = draw(st.sampled_from((LEAD[1], 1.75, 1.5, LEAD[0])))
    return np.asarray(wanted * size[most] / size)


def mimo_methods(
    *,
    lam: SearchStrategy[float] = _LAM,
    mu: SearchStrategy[float] = _MU,
    f_star: SearchStrategy[FStarRule | float | tuple[float, ...]] | None = None,
    heads: SearchStrategy[HeadUpdate] = _HEADS,
    num_modalities: int | None = None,
) -> SearchStrategy[MIMO]:
    """MIMO with drawn hyper-parameters.

    Parameters
    ----------
    lam, mu : strategies
        Penalty, 0 to 10 by default, and smoothing in units of the loss, 1/8 to 2 by default.
    f_star : strategy, optional
        By default "exact", "zero", "running_minimum" or a constant in [0, 1]; with
        `num_modalities` also one constant per modality.
    heads : strategy
        How uni-modal heads move, as in :class:`mimo_sim.MIMO`.
    num_modalities : int, optional
        K, for one constant per modality.

    Returns
    -------
    strategy of MIMO
        Shrinks to ``MIMO(lam=0.0, mu=0.125, f_star="exact", heads="gradient")``.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(mimo_methods(), lambda method: method.lam >= 1)
    MIMO(lam=1.0, mu=0.125, f_star='exact', heads='gradient')
    """
    if f_star is None:
        rules: list[FStarRule] = ["exact", "zero", "running_minimum"]
        f_star = st.one_of(st.sampled_from(rules), eighths(0, 8))
        if num_modalities is not None:
            f_star = f_star | st.tuples(*[eighths(0, 8)] * num_modalities)
    return st.builds(MIMO, lam=lam, mu=mu, f_star=f_star, heads=heads)


def methods(*, num_modalities: int | None = None) -> SearchStrategy[Solver]:
    """Joint training, with either update of its uni-modal heads, and MIMO (:func:`mimo_methods`).

    Parameters
    ----------
    num_modalities : int, optional
        K, for MIMO with one constant f_star per modality.

    Returns
    -------
    strategy of Vanilla or MIMO
        Shrinks to ``Vanilla(heads="frozen")``.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(methods(), lambda method: True)
    Vanilla(heads='frozen')
    """
    return st.one_of(
        st.builds(Vanilla, heads=st.sampled_from(("frozen", "plain"))),
        mimo_methods(num_modalities=num_modalities),
    )


def initial_weights(
    problem: LateFusionProblem,
    *,
    width: int | SearchStrategy[int] = _ONE_TO_SIX,
    scale: float | SearchStrategy[float] = 0.5,
) -> SearchStrategy[list[Weights]]:
    """Initial weights for ``simulate(problem, method, initial=...)``.

    Parameters
    ----------
    problem : LateFusionProblem
        Sets the shapes.
    width : int or strategy
        h >= 1; 1 to 6 by default.
    scale : float or strategy
        Largest absolute value of an entry.

    Returns
    -------
    strategy of lists over modalities of (V_k (m, h), U_k (m, h), W_k (h, d_k))
        Entries are `scale` times a multiple of 1/4 in [-1, 1]. Shrinks to width 1 and all entries
        equal to `scale`: all zero would be a saddle point.

    Examples
    --------
    >>> from hypothesis import find
    >>> from mimo_sim.generators import scalar_pair
    >>> find(initial_weights(scalar_pair()), lambda weights: True)[0]
    (array([[0.5]]), array([[0.5]]), array([[0.5]]))
    """
    return _initial_weights(problem, width, scale)


@st.composite
def _initial_weights(
    draw: DrawFn,
    problem: LateFusionProblem,
    width: int | SearchStrategy[int],
    scale: float | SearchStrategy[float],
) -> list[Weights]:
    h, m = _whole(draw, "width", width), problem.output_dim
    largest = _drawn(draw, scale)
    entries: SearchStrategy[float] = st.sampled_from(
        (1.0, -1.0, 0.5, -0.5, 0.0, 0.75, -0.75, 0.25, -0.25)
    )

    def block(*shape: int) -> FloatArray:
        return largest * _numbers(draw, entries, *shape)

    return [(block(m, h), block(m, h), block(h, d)) for d in problem.dims]
