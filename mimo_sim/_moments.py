"""Arithmetic of second moments: what is possible, and what is optimal.

Every function works on the last two axes of its arrays. So the same lines serve one problem, with
matrices of shape (D, D), and N problems at once, with stacks of shape (N, D, D). Both give the
same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo_sim._checks import LARGEST, FloatArray

TOLERANCE = 1e-9  # relative, for inputs of unit variance: the round-off of moments in float64


def frozen(values: Any) -> FloatArray:
    """A read-only copy in float64."""
    array = np.array(values, dtype=np.float64, order="C")
    array.flags.writeable = False
    return array


def transposed(matrix: npt.NDArray[Any]) -> FloatArray:
    """The last two axes swapped."""
    return np.swapaxes(matrix, -1, -2)


def trace(matrix: FloatArray) -> FloatArray:
    """(...) sum of the diagonal."""
    return np.asarray(np.trace(matrix, axis1=-2, axis2=-1))


def unit_variance(moment: FloatArray) -> tuple[FloatArray, FloatArray]:
    """`moment` (..., D, D) of inputs scaled to unit variance, and their scales (..., D).

    An input that is always zero keeps the scale 1.
    """
    scale = np.sqrt(np.abs(np.diagonal(moment, axis1=-2, axis2=-1)))
    scale = np.where(scale > 0, scale, 1.0)
    return moment / (scale[..., :, None] * scale[..., None, :]), scale


# ---------------------------------------------------------------- what is possible


def check_size(name: str, array: FloatArray, most: float = LARGEST) -> None:
    """Raise ``ValueError`` unless all values lie within +-`most`."""
    largest = np.abs(array).max(initial=0.0)
    if not largest <= most:
        raise ValueError(
            f"`{name}` must lie within +-{most:g}, so that what is computed from it is finite. "
            f"Got {largest:.3g}; measure in other units."
        )


def check_moment(name: str, moment: FloatArray) -> None:
    """Raise ``ValueError`` unless `moment` is symmetric and positive semi-definite."""
    scaled, _ = unit_variance(moment)
    asymmetry = np.abs(scaled - transposed(scaled)).max(initial=0.0)
    if asymmetry > TOLERANCE:
        raise ValueError(
            f"`{name}` must be symmetric. "
            f"Its largest asymmetry is {asymmetry:.3g} (inputs scaled to unit variance)."
        )
    smallest = np.linalg.eigvalsh(scaled).min(initial=0.0)
    if smallest < -TOLERANCE * moment.shape[-1]:
        raise ValueError(
            f"`{name}` must be positive semi-definite. "
            f"Its smallest eigenvalue is {smallest:.3g} (inputs scaled to unit variance)."
        )


def checked_moments(
    sigma: FloatArray, cross: FloatArray, output: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Refuse moments that no pair (x, y) can have.

    Parameters
    ----------
    sigma : (..., D, D) array
        :math:`E[x x^T]`.
    cross : (..., m, D) array
        :math:`E[y x^T]`.
    output : (..., m, m) or (...) array
        :math:`E[y y^T]`, or its trace.

    Returns
    -------
    input_moment : (..., D, D) array
        `sigma`, exactly symmetric.
    second_moment : (...) array
        :math:`E|y|^2`.
    joint_map : (..., m, D) array
        The map of least norm that minimises the multi-modal loss.

    Raises
    ------
    ValueError
        If no pair (x, y) can have these moments. Of many problems, the message has the numbers of
        one that was refused.
    """
    for name, array in (("sigma", sigma), ("sigma_yx", cross), ("y_second_moment", output)):
        check_size(name, array)
    whole = output.ndim == sigma.ndim  # all of E[y y^T] is known, not the trace alone
    check_moment("sigma", sigma)
    if whole:
        check_moment("y_second_moment", output)
    moment = (sigma + transposed(sigma)) / 2
    second = trace(output) if whole else output
    joint_map = generalised_solve(cross, moment)

    scale = np.sqrt(np.maximum(np.diagonal(moment, axis1=-2, axis2=-1), np.finfo(float).tiny))
    missed = np.abs((cross - joint_map @ moment) / scale[..., None, :]).max(axis=(-2, -1))
    refused = missed > np.sqrt(TOLERANCE) * np.sqrt(np.maximum(second, 0.0))
    if refused.any():
        raise ValueError(
            "`sigma_yx` must lie in the range of `sigma`: no (x, y) has these moments. "
            "A combination of inputs that is always zero would correlate with y "
            f"by {missed[refused][0]:.3g}."
        )
    explained = joint_map @ transposed(cross)
    unexplained = (second - trace(explained))[..., None, None]
    residual = output - explained if whole else unexplained
    smallest = np.linalg.eigvalsh(residual).min(axis=-1)
    refused = (smallest < -10 * TOLERANCE * np.abs(second)) | ~(second >= 0)
    if refused.any():
        raise ValueError(
            "`y_second_moment` is too small: no (x, y) has these moments. "
            f"The inputs alone explain {trace(explained)[refused][0]:.6g} of E|y|^2. "
            f"Got y_second_moment={second[refused][0]:.6g}; "
            "the joint second moment of (x, y) must be positive semi-definite."
        )
    return moment, second, joint_map


# ---------------------------------------------------------------- what is optimal


def generalised_solve(cross: FloatArray, moment: FloatArray) -> FloatArray:
    """The X of least norm with ``X @ moment = cross``, accurate for any scales of the inputs.

    Parameters
    ----------
    cross : (..., m, D) array
        In the range of `moment`.
    moment : (..., D, D) array
        Symmetric and positive semi-definite.

    Returns
    -------
    (..., m, D) array
    """
    scaled, scale = unit_variance(moment)
    values, vectors = np.linalg.eigh(scaled)
    if (values[..., 0] > TOLERANCE).all():
        columns = np.linalg.solve(scaled, transposed(cross / scale[..., None, :]))
        return np.asarray(transposed(columns) / scale[..., None, :])
    if moment.ndim == 2:
        return _singular_solve(cross, moment, scale, values, vectors)
    return np.stack([generalised_solve(*one) for one in zip(cross, moment, strict=True)])


def _singular_solve(
    cross: FloatArray,
    moment: FloatArray,
    scale: FloatArray,
    values: FloatArray,
    vectors: FloatArray,
) -> FloatArray:
    """:func:`generalised_solve` where some combination of inputs is always zero.

    `values` and `vectors` are the eigenvalues and eigenvectors of `moment` at unit variance.
    """
    kept = values > TOLERANCE * len(values)
    null = vectors[:, ~kept]
    # round-off must not couple inputs of different scales
    null = np.where(np.abs(null) > TOLERANCE, null, 0.0) / scale[:, None]
    basis, _ = np.linalg.qr(null / np.linalg.norm(null, axis=0))

    def solved(target: FloatArray) -> FloatArray:
        along = (target / scale) @ (vectors[:, kept] / values[kept])
        return np.asarray(along @ vectors[:, kept].T / scale)

    least = solved(cross)
    least = least - least @ basis @ basis.T
    # the projection has round-off of its own: refine once
    return np.asarray(least + solved(cross - least @ moment))


def optimum(second_moment: Any, best: FloatArray, cross: FloatArray) -> FloatArray:
    r"""(...) The least loss :math:`\frac12 (E|y|^2 - tr\,M C^T)`, reached by the map M = `best`.

    `best` and `cross` :math:`C = E[y x^T]` have shape (..., m, d).
    """
    explained = np.sum(best * cross, axis=(-2, -1))
    return np.asarray(np.maximum(second_moment - explained, 0.0) / 2)


def solved(
    sigma: FloatArray, cross: FloatArray, output: FloatArray, columns: Sequence[slice]
) -> Iterator[dict[str, Any]]:
    """Check N problems at once, and compute all their maps and optima.

    Parameters
    ----------
    sigma, cross, output : arrays
        As in :func:`checked_moments`, with one leading axis of length N.
    columns : K slices
        Where each modality stands in the stacked input.

    Yields
    ------
    dict
        The fields of one :class:`mimo_sim.LateFusionProblem`.
    """
    moment, second, joint_map = checked_moments(sigma, cross, output)
    maps, optima = [], []
    for own in columns:
        best = generalised_solve(cross[..., own], moment[..., own, own])
        maps.append(frozen(best))
        optima.append(optimum(second, best, cross[..., own]))
    unimodal_optima = frozen(np.stack(optima, axis=-1))
    joint_optima = optimum(second, joint_map, cross).tolist()
    seconds = second.tolist()
    moment, cross, joint_map = frozen(moment), frozen(cross), frozen(joint_map)
    for i, own_maps in enumerate(zip(*maps, strict=True)):
        yield {
            "input_moment": moment[i],
            "cross_moment": cross[i],
            "y_second_moment": seconds[i],
            "joint_map": joint_map[i],
            "unimodal_maps": own_maps,
            "unimodal_optima": unimodal_optima[i],
            "joint_optimum": joint_optima[i],
        }


def linear_model(
    weights: Sequence[FloatArray], sigma: Sequence[Sequence[FloatArray]], noise_variance: FloatArray
) -> tuple[list[FloatArray], FloatArray]:
    r"""Moments of :math:`y = \sum_k w_k x_k + \varepsilon`.

    Parameters
    ----------
    weights : K arrays (..., m, d_k)
        True weights.
    sigma : K x K arrays (..., d_k, d_l)
        Blocks of :math:`E[x x^T]`.
    noise_variance : (...) array
        Variance of the noise on each output.

    Returns
    -------
    cross : K arrays (..., m, d_k)
        Blocks of :math:`E[y x^T]`.
    output : (..., m, m) array
        :math:`E[y y^T]`.
    """
    every = range(len(weights))
    zero = np.zeros((1, 1))
    cross = [sum((weights[j] @ sigma[j][k] for j in every), zero) for k in every]
    signal = sum((cross[k] @ transposed(weights[k]) for k in every), zero)
    signal = (signal + transposed(signal)) / 2
    return cross, signal + noise_variance[..., None, None] * np.eye(signal.shape[-1])
