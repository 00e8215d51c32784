"""Named and random families of late-fusion problems."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal, get_args

import numpy as np

from mimo_sim._blocks import split_both, split_columns
from mimo_sim._checks import (
    check_choice,
    check_count,
    check_positive,
    check_sequence,
    check_within,
    is_sequence,
    shown,
)
from mimo_sim.errors import GenerationError
from mimo_sim.problem import LateFusionProblem
from mimo_sim.theory import superficial_preference as preference_report

MOST_SPREAD = 20  # of the logarithms of scales; beyond it moments leave the range of floats
Requirement = Literal["superficial", "none"]


def superficial_preference(
    *,
    dims: tuple[int, int] = (1, 1),
    scale: float = 3.0,
    explained: tuple[float, float] = (0.72, 1.28),
    noise_variance: float = 0.0,
    names: tuple[str, str] | None = None,
) -> LateFusionProblem:
    r"""The Figure 1 problem: modality 0 is learned first, modality 1 explains more of the target.

    The modalities are independent, with :math:`S = \mathrm{diag}(\mathrm{scale}^2 I, I)`. The
    true weights lie along the diagonal of each input space, and modality k alone explains
    ``explained[k]`` of :math:`E[y^2]`. By default :math:`E[y^2] = 2`, :math:`f^* = (0.64, 0.36)`
    and :math:`|C| = (2.546, 1.131)`; joint training's loss falls from 1 to 0.64 and then to 0.

    Parameters
    ----------
    dims : (int, int)
        Input dimensions.
    scale : float
        Standard deviation of modality 0's inputs over that of modality 1.
    explained : (float, float)
        Part of :math:`E[y^2]` that each modality explains alone, in squared units of y.
    noise_variance : float
        Variance of the part of y that no input explains, >= 0.
    names : (str, str), optional
        Names of the modalities.

    Raises
    ------
    ValueError
        Unless ``explained[0] < explained[1]`` and ``scale > sqrt(explained[1] / explained[0])``:
        these are the conditions of superficial preference.

    Notes
    -----
    Source: the scalar example of [ZLS] (Zhang, Latham, Saxe, ICML 2024); conditions [MIMO] Eq.
    16-18.
    """
    if not _are_sizes(dims) or len(dims) != 2:
        raise ValueError(f"`dims` must be two integers >= 1. Got dims={shown(dims)}.")
    check_positive("scale", scale)
    if not is_sequence(explained) or len(explained) != 2:
        raise ValueError(f"`explained` must be two numbers. Got explained={shown(explained)}.")
    first, second = explained
    check_positive("explained[0]", first)
    check_positive("explained[1]", second)
    least = math.sqrt(second / first)
    if not (first < second and scale > least):
        raise ValueError(
            "Superficial preference needs `explained[0]` < `explained[1]` and "
            f"`scale` > sqrt(explained[1] / explained[0]) = {least:.4g}. "
            f"Got explained={explained}, scale={scale}."
        )
    (d0, d1), no_correlation = dims, np.zeros(dims)
    weights = [np.full(d0, math.sqrt(first / d0) / scale), np.full(d1, math.sqrt(second / d1))]
    sigma = [[scale**2 * np.eye(d0), no_correlation], [no_correlation.T, np.eye(d1)]]
    return LateFusionProblem.from_linear_model(weights, sigma, noise_variance, names=names)


def scalar_pair(
    sigma_ratio: float = 2.0, rho: float = 0.5, *, noise_variance: float = 0.0
) -> LateFusionProblem:
    """The scalar toy of [ZLS]: y = x_A + x_B with standard deviations (sigma_ratio, 1).

    Parameters
    ----------
    sigma_ratio : float
        Standard deviation of A over that of B, > 0, no unit.
    rho : float
        Pearson correlation of the two inputs, in (-1, 1).
    noise_variance : float
        Variance of the noise on y, >= 0, in squared units of y.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.
    """
    moment = _scalar_pair_moment(sigma_ratio, rho)
    return LateFusionProblem.from_linear_model([[1.0], [1.0]], moment, noise_variance)


def scalar_pairs(points: Sequence[Mapping[str, float]]) -> list[LateFusionProblem | None]:
    """:func:`scalar_pair` at many points at once: the same problems, bit by bit, and much faster.

    Parameters
    ----------
    points : sequence of mappings
        Arguments of :func:`scalar_pair`.

    Returns
    -------
    list
        One problem for each point; None where :func:`scalar_pair` raises an error, or an argument
        is not a plain number.
    """
    check_sequence("points", points, "mappings")
    if not all(isinstance(point, Mapping) for point in points):
        raise TypeError(f"`points` must be a sequence of mappings. Got points={shown(points)}.")
    made: list[LateFusionProblem | None] = [None] * len(points)
    accepted, moments, noise = [], [], []
    for i, point in enumerate(points):
        arguments = dict(point)
        variance = arguments.pop("noise_variance", 0.0)
        try:
            moment = _scalar_pair_moment(**arguments)
            check_positive("noise_variance", variance, allow_zero=True)
        except (TypeError, ValueError, OverflowError):
            continue
        accepted.append(i)
        moments.append(moment)
        noise.append(variance)
    if not accepted:
        return made
    stack = np.array(moments, dtype=float)[..., None, None]
    sigma = [[stack[:, k, j] for j in (0, 1)] for k in (0, 1)]
    ones = np.ones((1, 1, 1))
    try:
        problems: list[LateFusionProblem | None] = [
            *LateFusionProblem.many_from_linear_model([ones, ones], sigma, noise)
        ]
    except ValueError:  # one of them is refused: one by one it shows which
        problems = [_scalar_pair_or_none(points[i]) for i in accepted]
    for i, problem in zip(accepted, problems, strict=True):
        made[i] = problem
    return made


def _scalar_pair_or_none(point: Mapping[str, float]) -> LateFusionProblem | None:
    try:
        return scalar_pair(**point)
    except ValueError:
        return None


def _scalar_pair_moment(sigma_ratio: float = 2.0, rho: float = 0.5) -> list[list[float]]:
    """Second moment of the two inputs of the scalar pair."""
    check_positive("sigma_ratio", sigma_ratio)
    check_within("rho", rho, -1, 1)
    cross = rho * sigma_ratio
    return [[sigma_ratio**2, cross], [cross, 1.0]]


def random_problem(
    dims: Sequence[int] = (5, 5),
    seed: int = 0,
    require: Requirement = "none",
    *,
    output_dim: int = 1,
    noise_variance: float = 0.0,
    degrees_of_freedom: int | None = None,
    scale_spread: float = 0.5,
    max_tries: int = 1000,
) -> LateFusionProblem:
    """A random linear model: Wishart covariance, Gaussian weights, a random scale per modality.

    Parameters
    ----------
    dims : K ints
        Input dimensions, each >= 1.
    seed : int
        Same seed, same problem.
    require : {"none", "superficial"}
        ``"superficial"`` draws again until the modality that joint training learns first is not
        the one that explains most.
    output_dim : int
        m, >= 1.
    noise_variance : float
        Variance of the noise on each output, >= 0.
    degrees_of_freedom : int, optional
        The covariance is that of so many Gaussian vectors (a Wishart distribution); >= sum(dims),
        by default three times sum(dims). With more vectors the inputs are better conditioned and
        less correlated.
    scale_spread : float
        Standard deviation of the logarithm of each modality's input scale, >= 0.
    max_tries : int
        Largest number of draws, >= 1.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.
    GenerationError
        If no draw out of `max_tries` meets the requirement.
    """
    check_sequence("dims", dims, "integers")
    if not len(dims) or not _are_sizes(dims):
        raise ValueError(f"`dims` must be integers >= 1. Got dims={shown(dims)}.")
    check_count("seed", seed, 0)
    check_choice("require", require, get_args(Requirement))
    if require == "superficial" and len(dims) < 2:
        raise ValueError(
            f"`require='superficial'` needs at least two modalities. Got dims={tuple(dims)}."
        )
    check_count("output_dim", output_dim)
    check_count("max_tries", max_tries)
    total = sum(dims)
    freedom = 3 * total if degrees_of_freedom is None else degrees_of_freedom
    if check_count("degrees_of_freedom", freedom) < total:
        raise ValueError(
            f"`degrees_of_freedom` must be >= sum(dims) = {total}. "
            f"Got degrees_of_freedom={freedom}."
        )
    check_positive("scale_spread", scale_spread, allow_zero=True)
    if scale_spread > MOST_SPREAD:
        raise ValueError(
            f"`scale_spread` must be at most {MOST_SPREAD}: it is that of a logarithm. "
            f"Got scale_spread={scale_spread!r}."
        )

    rng = np.random.default_rng(seed)
    for _ in range(max_tries):
        factor = rng.standard_normal((freedom, total)) / math.sqrt(freedom)
        scales = np.repeat(np.exp(scale_spread * rng.standard_normal(len(dims))), dims)
        moment = (factor * scales).T @ (factor * scales)
        weights = rng.standard_normal((output_dim, total)) / math.sqrt(total) / scales
        problem = LateFusionProblem.from_linear_model(
            split_columns(weights, dims), split_both(moment, dims), noise_variance
        )
        if require == "none" or preference_report(problem).holds:
            return problem
    raise GenerationError(
        f"No problem with superficial modality preference in max_tries={max_tries} draws "
        f"(dims={tuple(dims)}, seed={seed}, scale_spread={scale_spread}). "
        "Raise `max_tries` or `scale_spread`, or change `seed`."
    )


def _are_sizes(dims: Sequence[int]) -> bool:
    """Whether these are integers >= 1."""
    try:
        return is_sequence(dims) and all(check_count("dims", d) for d in dims)
    except (TypeError, ValueError):
        return False


# The one table of families. A name stands for a function; some of its arguments may be fixed.
FAMILIES: dict[str, Callable[..., LateFusionProblem]] = {
    "superficial": superficial_preference,
    "scalar-pair": scalar_pair,
    "random": partial(random_problem, require="superficial"),
}
NAMES = tuple(FAMILIES)


def named(name: str) -> LateFusionProblem:
    """The problem that the command line calls `name`: one of :data:`FAMILIES`, all defaults."""
    check_choice("name", name, NAMES)
    return FAMILIES[name]()
