"""Regression by a two-layer network with late fusion, seen through second moments.

Late fusion means that every modality has its own encoder, and that the results are added. A linear
network that is trained on squared loss sees nothing of the data but their second moments. So a
population, a small sample and a sample of a million points are all the same object here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo_sim import _blocks, _moments
from mimo_sim._blocks import Blocks
from mimo_sim._checks import (
    FloatArray,
    check_count,
    check_flag,
    check_positive,
    finite_array,
)
from mimo_sim._files import replacing
from mimo_sim._immutable import Immutable
from mimo_sim._moments import frozen


def check_problem(problem: object) -> None:
    """Raise ``TypeError`` unless this is a :class:`LateFusionProblem`."""
    if not isinstance(problem, LateFusionProblem):
        raise TypeError(f"`problem` must be a LateFusionProblem. Got {type(problem).__name__}.")


class LateFusionProblem(Immutable):
    r"""A regression problem for two-layer linear late fusion: K >= 1 modalities, outputs in R^m.

    Modality k has inputs :math:`x_k \in R^{d_k}`, an encoder :math:`W_k` (h, d_k), its block
    :math:`V_k` (m, h) of the multi-modal head, and a uni-modal head :math:`U_k` (m, h), with the
    losses

    .. math::
        f_{mm} = \tfrac12 E|y - \sum_k V_k W_k x_k|^2, \qquad f_k = \tfrac12 E|y - U_k W_k x_k|^2 .

    Parameters
    ----------
    sigma : K x K blocks
        ``sigma[k][l]`` is :math:`E[x_k x_l^T]`, of shape (d_k, d_l); a number counts as (1, 1).
    sigma_yx : K blocks
        ``sigma_yx[k]`` is :math:`E[y x_k^T]`, of shape (m, d_k), or (d_k,) when m = 1.
    y_second_moment : float or array (m, m)
        :math:`E|y|^2`, or :math:`E[y y^T]`, of which the trace is used.
    names : sequence of str, optional
        Names of the modalities; ``m1, m2, ...`` by default.

    Attributes
    ----------
    dims : tuple of int
        :math:`d_k` of every modality. Their sum is D.
    names : tuple of str
    input_moment : (D, D) array
        :math:`E[x x^T]` of all inputs stacked.
    cross_moment : (m, D) array
        :math:`E[y x^T]`.
    y_second_moment : float
        :math:`E|y|^2`, in squared units of y.
    joint_map : (m, D) array
        The map of least norm that minimises f_mm. ``joint_map[:, features(k)]`` is what V_k W_k
        becomes in training.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, or a value is not within +-1e100. If `sigma` is not symmetric and
        positive semi-definite. If no pair (x, y) can have these moments: the joint second moment of
        (x, y) must be positive semi-definite too.

    Notes
    -----
    Source: [MIMO] arXiv:2511.06686, Sec. 2; [ZLS] Zhang, Latham, Saxe, ICML 2024. Instances are
    immutable.

    Examples
    --------
    >>> p = LateFusionProblem([[9, 0], [0, 1]], [1.5, 1.0], 2.0)
    >>> p.unimodal_optima, p.joint_optimum
    (array([0.875, 0.5  ]), 0.375)
    """

    dims: tuple[int, ...]
    names: tuple[str, ...]
    input_moment: FloatArray
    cross_moment: FloatArray
    y_second_moment: float
    joint_map: FloatArray
    _views = ("sigma", "sigma_yx", "_columns")

    def __init__(
        self,
        sigma: Blocks,
        sigma_yx: Sequence[npt.ArrayLike],
        y_second_moment: npt.ArrayLike,
        *,
        names: Sequence[str] | None = None,
    ) -> None:
        cross = _blocks.cross_blocks(sigma_yx)
        dims = tuple(block.shape[1] for block in cross)
        names = _blocks.checked_names(names, len(dims))
        moment = np.block(_blocks.moment_blocks(sigma, dims))
        output = _blocks.output_moment(y_second_moment, len(cross[0]))
        stacked = np.hstack(cross)
        moment, second, joint_map = _moments.checked_moments(moment, stacked, output)
        self._fill(
            dims=dims,
            names=names,
            input_moment=frozen(moment),
            cross_moment=frozen(stacked),
            y_second_moment=float(second),
            joint_map=frozen(joint_map),
        )

    # ---------------------------------------------------------------- other ways in

    @classmethod
    def from_samples(
        cls,
        inputs: Sequence[npt.ArrayLike] | Mapping[str, npt.ArrayLike],
        y: npt.ArrayLike,
        *,
        center: bool = False,
        standardize: bool = False,
        names: Sequence[str] | None = None,
    ) -> LateFusionProblem:
        """The problem whose expectations are averages over these samples.

        Parameters
        ----------
        inputs : K arrays (n, d_k), or a mapping from modality name to such an array
            1-d arrays are taken as (n, 1).
        y : array (n,) or (n, m)
            Targets.
        center : bool
            Subtract the sample means first. The network has no bias, so moments about zero (the
            default) describe it as it is.
        standardize : bool
            Centre, then scale every input and output to unit variance (constant ones stay zero).
            Losses are then of order one. The defaults of lam and mu are meant for that: mu is in
            units of the loss.
        names : sequence of str, optional
            Names of the modalities, when `inputs` is a sequence.

        Raises
        ------
        ValueError, TypeError
            If shapes do not fit, there are no samples, or a value is not finite.
        """
        check_flag("center", center)
        check_flag("standardize", standardize)
        if isinstance(inputs, Mapping):
            names, inputs = tuple(inputs), tuple(inputs.values())
        columns, target = _blocks.sample_columns(inputs, y)
        if center or standardize:
            columns = [_blocks.centred(x, standardize) for x in columns]
            target = _blocks.centred(target, standardize)
        stacked, n = np.hstack(columns), len(target)
        dims = [x.shape[1] for x in columns]
        return cls(
            _blocks.split_both(stacked.T @ stacked / n, dims),
            _blocks.split_columns(target.T @ stacked / n, dims),
            target.T @ target / n,
            names=names,
        )

    @classmethod
    def from_linear_model(
        cls,
        weights: Sequence[npt.ArrayLike],
        sigma: Blocks,
        noise_variance: float = 0.0,
        *,
        names: Sequence[str] | None = None,
    ) -> LateFusionProblem:
        r"""The problem of :math:`y = \sum_k w_k x_k + \varepsilon`.

        Parameters
        ----------
        weights : K arrays (m, d_k) or (d_k,)
            True weights.
        sigma : K x K blocks
            Input moments, as in the constructor.
        noise_variance : float
            Variance of the independent noise on each of the m outputs, >= 0, in squared units of y.
        names : sequence of str, optional
            Names of the modalities.

        Raises
        ------
        ValueError, TypeError
            As the constructor.
        """
        check_positive("noise_variance", noise_variance, allow_zero=True)
        noise = finite_array("noise_variance", noise_variance)
        true = _blocks.true_weights(weights)
        blocks = _blocks.moment_blocks(sigma, tuple(w.shape[1] for w in true))
        cross, output = _moments.linear_model(true, blocks, noise)
        return cls(blocks, cross, output, names=names)

    @classmethod
    def many_from_linear_model(
        cls,
        weights: Sequence[npt.ArrayLike],
        sigma: Sequence[Sequence[npt.ArrayLike]],
        noise_variance: npt.ArrayLike,
        *,
        names: Sequence[str] | None = None,
    ) -> list[LateFusionProblem]:
        """N problems of one shape at once: much faster than :meth:`from_linear_model` for each.

        The problems are the same, bit by bit for scalar inputs and targets, and up to round-off
        otherwise.

        Parameters
        ----------
        weights : K arrays (N, m, d_k)
            True weights; (1, m, d_k) where they are the same for all problems.
        sigma : K x K arrays (N, d_k, d_l)
            Input moments.
        noise_variance : (N,) array
            Variance of the noise on each output, >= 0.
        names : sequence of str, optional
            Names of the modalities, the same for all problems.

        Raises
        ------
        ValueError, TypeError
            As the constructor, if it refuses any of the problems.
        """
        noise = _blocks.checked_noise(noise_variance)
        true = _blocks.many_weights(weights)
        blocks = [
            [_blocks.sized_array(f"sigma[{k}][{j}]", block) for j, block in enumerate(row)]
            for k, row in enumerate(sigma)
        ]
        _blocks.refuse_unequal_stacks(true, blocks, noise)
        dims = tuple(w.shape[-1] for w in true)
        names = _blocks.checked_names(names, len(dims))
        cross, output = _moments.linear_model(true, blocks, noise)
        stacked = finite_array("sigma_yx", np.concatenate(cross, axis=-1))
        output = finite_array("y_second_moment", output)
        columns = _blocks.columns(dims)
        problems = []
        for fields in _moments.solved(np.block(blocks), stacked, output, columns):
            problem = cls.__new__(cls)
            problem._fill(dims=dims, names=names, **fields)
            problems.append(problem)
        return problems

    # ---------------------------------------------------------------- blocks and optima

    @property
    def num_modalities(self) -> int:
        """K."""
        return len(self.dims)

    @property
    def output_dim(self) -> int:
        """m."""
        return len(self.cross_moment)

    @cached_property
    def _columns(self) -> list[slice]:
        return _blocks.columns(self.dims)

    def features(self, k: int) -> slice:
        """The columns of modality k in the stacked input."""
        return self._columns[k]

    @cached_property
    def sigma(self) -> tuple[tuple[FloatArray, ...], ...]:
        """Blocks :math:`E[x_k x_l^T]`, each (d_k, d_l)."""
        return tuple(
            tuple(self.input_moment[own, other] for other in self._columns) for own in self._columns
        )

    @cached_property
    def sigma_yx(self) -> tuple[FloatArray, ...]:
        """Blocks :math:`C_k = E[y x_k^T]`, each (m, d_k)."""
        return tuple(self.cross_moment[:, own] for own in self._columns)

    @cached_property
    def unimodal_maps(self) -> tuple[FloatArray, ...]:
        """The (m, d_k) maps of least norm that minimise f_k: what U_k W_k becomes in training."""
        return tuple(
            frozen(_moments.generalised_solve(self.sigma_yx[k], self.sigma[k][k]))
            for k in range(self.num_modalities)
        )

    @cached_property
    def unimodal_optima(self) -> FloatArray:
        r"""(K,) exact optima in units of the loss.

        .. math:: f_k^* = \tfrac12 (E|y|^2 - tr\, C_k S_{kk}^{+} C_k^T)
        """
        return frozen(
            [
                _moments.optimum(self.y_second_moment, best, cross)
                for best, cross in zip(self.unimodal_maps, self.sigma_yx, strict=True)
            ]
        )

    @cached_property
    def joint_optimum(self) -> float:
        """The exact minimum of f_mm, in units of the loss."""
        return float(_moments.optimum(self.y_second_moment, self.joint_map, self.cross_moment))

    # ---------------------------------------------------------------- samples, files, equality

    def sample(self, n_samples: int, seed: int = 0) -> tuple[list[FloatArray], FloatArray]:
        """Gaussian samples with these second moments; same seed, same samples.

        The part of y that the inputs do not explain is spread evenly over the outputs.

        Returns
        -------
        inputs : K arrays (n_samples, d_k)
        y : array (n_samples, m)
        """
        check_count("n_samples", n_samples)
        rng = np.random.default_rng(check_count("seed", seed, 0))
        values, vectors = np.linalg.eigh(self.input_moment)
        white = rng.standard_normal((n_samples, len(values)))
        stacked = white * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
        noise = rng.standard_normal((n_samples, self.output_dim)) * np.sqrt(
            2 * self.joint_optimum / self.output_dim
        )
        inputs = [stacked[:, self.features(k)] for k in range(self.num_modalities)]
        return inputs, stacked @ self.joint_map.T + noise

    def to_json(self) -> str:
        """All moments as JSON; floats survive the round trip exactly."""
        return json.dumps(
            {
                "dims": self.dims,
                "names": self.names,
                "input_moment": self.input_moment.tolist(),
                "cross_moment": self.cross_moment.tolist(),
                "y_second_moment": self.y_second_moment,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> LateFusionProblem:
        """Inverse of :meth:`to_json`."""
        sigma, cross, second, names = _blocks.parsed_json(text)
        return cls(sigma, cross, second, names=names)

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_json` to a file. The file appears whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(self.to_json() + "\n")

    @classmethod
    def load(cls, path: str | Path) -> LateFusionProblem:
        """Read a file written by :meth:`save`."""
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"`path` must be a problem file written by mimo_sim. No file {str(path)!r}."
            )
        try:
            return cls.from_json(Path(path).read_text())
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def _key(self) -> tuple[Any, ...]:
        return (
            self.dims,
            self.names,
            self.input_moment.tobytes(),
            self.cross_moment.tobytes(),
            self.y_second_moment,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LateFusionProblem) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        optima = ", ".join(f"{f:.4g}" for f in self.unimodal_optima)
        return (
            f"LateFusionProblem(dims={self.dims}, output_dim={self.output_dim}, "
            f"unimodal_optima=[{optima}], joint_optimum={self.joint_optimum:.4g})"
        )
