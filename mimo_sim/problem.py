"""The two-layer late-fusion regression problem, seen through its second moments.

Nothing else about the data enters the dynamics of a linear network trained on squared loss, so a population, a finite sample
and a sample of a million points are all the same object here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mimo_sim._checks import FloatArray, finite_array
from mimo_sim._files import replacing

Blocks: TypeAlias = (
    Sequence[Sequence[npt.ArrayLike]] | npt.NDArray[Any]
)  # [k][l] of shape (d_k, d_l)
TOLERANCE = 1e-9  # relative, after scaling every input to unit variance: round-off of moments summed in float64


def _frozen(values: Any) -> FloatArray:
    array = np.array(values, dtype=np.float64, order="C")
    array.flags.writeable = False
    return array


def _check_psd(name: str, matrix: FloatArray, what: str) -> None:
    """Raise unless `matrix` is symmetric positive semi-definite up to TOLERANCE in correlation form."""
    scale = np.sqrt(np.abs(np.diag(matrix)))
    scaled = matrix / np.outer(np.where(scale > 0, scale, 1.0), np.where(scale > 0, scale, 1.0))
    asymmetry = np.abs(scaled - scaled.T).max(initial=0.0)
    if asymmetry > TOLERANCE:
        raise ValueError(
            f"`{name}` must be symmetric{what}. Its largest asymmetry is {asymmetry:.3g} (inputs scaled to unit variance)."
        )
    smallest = np.linalg.eigvalsh(scaled).min(initial=0.0)
    if smallest < -TOLERANCE * len(matrix):
        raise ValueError(
            f"`{name}` must be positive semi-definite{what}. Its smallest eigenvalue is {smallest:.3g} (inputs scaled to unit variance)."
        )


def _moment_blocks(sigma: Blocks, dims: tuple[int, ...]) -> list[list[FloatArray]]:
    """`sigma` as arrays, with every block checked to have shape (d_k, d_l)."""
    rows = list(sigma) if isinstance(sigma, Sequence | np.ndarray) else []
    if len(rows) != len(dims) or any(
        not isinstance(row, Sequence | np.ndarray) or len(row) != len(dims) for row in rows
    ):
        raise ValueError(
            f"`sigma` must be {len(dims)} x {len(dims)} blocks, `sigma[k][l]` of shape (d_k, d_l) for dims {dims}. Got {sigma!r:.80}."
        )
    blocks = [
        [np.atleast_2d(finite_array(f"sigma[{k}][{j}]", block)) for j, block in enumerate(row)]
        for k, row in enumerate(rows)
    ]
    for k, row in enumerate(blocks):
        for j, block in enumerate(row):
            if block.shape != (dims[k], dims[j]):
                raise ValueError(
                    f"`sigma[{k}][{j}]` must have shape {(dims[k], dims[j])}. Got shape {block.shape}."
                )
    return blocks


def generalised_solve(cross: FloatArray, moment: FloatArray) -> FloatArray:
    """The least-norm X with X @ moment = cross, for a `cross` in the range of the symmetric PSD `moment`; accurate for any input scales."""
    scale = np.sqrt(np.diag(moment))
    scale = np.where(scale > 0, scale, 1.0)
    scaled = moment / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(scaled)
    if values[0] > TOLERANCE:
        return np.asarray(np.linalg.solve(scaled, (cross / scale).T).T / scale)
    kept = values > TOLERANCE * len(values)

    def solved(target: FloatArray) -> FloatArray:
        return np.asarray(
            (target / scale) @ (vectors[:, kept] / values[kept]) @ vectors[:, kept].T / scale
        )

    null = (
        np.where(np.abs(vectors[:, ~kept]) > TOLERANCE, vectors[:, ~kept], 0.0) / scale[:, None]
    )  # round-off must not couple scales
    basis, _ = np.linalg.qr(null / np.linalg.norm(null, axis=0))
    least = solved(cross)
    least = least - least @ basis @ basis.T
    return np.asarray(
        least + solved(cross - least @ moment)
    )  # refined once, as the projection has round-off of its own


class LateFusionProblem:
    r"""A two-layer linear late-fusion regression problem, K >= 1 modalities, outputs in R^m.

    Modality k has inputs :math:`x_k \in R^{d_k}`, an encoder :math:`W_k` (h, d_k), its block :math:`V_k` (m, h) of the multi-modal head and a
    uni-modal head :math:`U_k` (m, h), with

    .. math::
        f_{mm} = \tfrac12 E|y - \sum_k V_k W_k x_k|^2, \qquad f_k = \tfrac12 E|y - U_k W_k x_k|^2 .

    Parameters
    ----------
    sigma : K x K blocks
        ``sigma[k][l]`` is :math:`E[x_k x_l^T]`, of shape (d_k, d_l); numbers are taken as (1, 1).
    sigma_yx : K blocks
        ``sigma_yx[k]`` is :math:`E[y x_k^T]`, of shape (m, d_k), or (d_k,) when m = 1.
    y_second_moment : float or array (m, m)
        :math:`E|y|^2`, or :math:`E[y y^T]`, of which the trace is used.
    names : sequence of str, optional
        Names of the modalities; ``m1, m2, ...`` by default.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a value is not finite, `sigma` is not symmetric positive semi-definite, or no pair (x, y) can have
        these moments (the joint second moment of (x, y) must be positive semi-definite too).

    Notes
    -----
    Source: [MIMO] arXiv:2511.06686, Sec. 2; [ZLS] Zhang, Latham, Saxe, ICML 2024. Instances are immutable.

    Examples
    --------
    >>> p = LateFusionProblem([[9, 0], [0, 1]], [1.5, 1.0], 2.0)
    >>> p.unimodal_optima, p.joint_optimum
    (array([0.875, 0.5  ]), 0.375)
    """

    def __init__(
        self,
        sigma: Blocks,
        sigma_yx: Sequence[npt.ArrayLike],
        y_second_moment: npt.ArrayLike,
        *,
        names: Sequence[str] | None = None,
    ) -> None:
        if not isinstance(sigma_yx, Sequence | np.ndarray):
            raise TypeError(
                f"`sigma_yx` must be a list of blocks, one per modality. Got {sigma_yx!r:.80}."
            )
        cross = [
            np.atleast_2d(finite_array(f"sigma_yx[{k}]", block)) for k, block in enumerate(sigma_yx)
        ]
        if not cross:
            raise ValueError("`sigma_yx` must hold one block per modality. Got none.")
        for k, block in enumerate(cross):
            if block.ndim != 2 or 0 in block.shape or len(block) != len(cross[0]):
                raise ValueError(
                    f"`sigma_yx[{k}]` must have shape (m, d_k) or (d_k,) with m = {len(cross[0])} and d_k >= 1. Got shape {block.shape}."
                )
        self.dims: tuple[int, ...] = tuple(block.shape[1] for block in cross)
        self.num_modalities: int = len(cross)
        self.output_dim: int = len(cross[0])
        if isinstance(names, str):
            raise TypeError(f"`names` must be a sequence of names. Got names={names!r}.")
        self.names: tuple[str, ...] = (
            tuple(names) if names is not None else tuple(f"m{k + 1}" for k in range(len(cross)))
        )
        if len(self.names) != len(cross) or len(set(self.names)) != len(cross):
            raise ValueError(
                f"`names` must be {len(cross)} different names. Got names={self.names}."
            )

        blocks = _moment_blocks(sigma, self.dims)
        moment = np.block(blocks)
        _check_psd("sigma", moment, "")
        self.input_moment: FloatArray = _frozen((moment + moment.T) / 2)
        self.cross_moment: FloatArray = _frozen(np.hstack(cross))

        output = finite_array("y_second_moment", y_second_moment)
        if output.ndim and output.shape != (self.output_dim, self.output_dim):
            raise ValueError(
                f"`y_second_moment` must be a number or have shape {(self.output_dim, self.output_dim)}. Got shape {output.shape}."
            )
        self.y_second_moment: float = float(np.trace(output)) if output.ndim else float(output)
        if output.ndim:
            _check_psd("y_second_moment", output, "")
        self._check_realisable(output)
        self._sealed = True

    def __setattr__(self, name: str, value: Any) -> None:
        if "_sealed" in self.__dict__:
            raise AttributeError(
                f"A LateFusionProblem is immutable; {name!r} cannot be set. Make a new one."
            )
        super().__setattr__(name, value)

    def _check_realisable(self, output: FloatArray) -> None:
        """Raise unless some (x, y) has these moments: cross moments in the range of sigma, and a residual that is PSD."""
        scale = np.sqrt(np.maximum(np.diag(self.input_moment), np.finfo(float).tiny))
        missed = np.abs((self.cross_moment - self.joint_map @ self.input_moment) / scale).max()
        if missed > np.sqrt(TOLERANCE) * np.sqrt(max(self.y_second_moment, 0.0)):
            raise ValueError(
                f"`sigma_yx` must lie in the range of `sigma`: no (x, y) has these moments. A combination of inputs that is always zero "
                f"would correlate with y by {missed:.3g}."
            )
        residual = (output if output.ndim else np.atleast_2d(self.y_second_moment)).copy()
        explained = self.joint_map @ self.cross_moment.T
        residual -= explained if output.ndim else np.trace(explained)
        if (
            np.linalg.eigvalsh(residual).min() < -10 * TOLERANCE * abs(self.y_second_moment)
            or not self.y_second_moment >= 0
        ):
            raise ValueError(
                f"`y_second_moment` is too small: no (x, y) has these moments. The inputs alone explain {np.trace(explained):.6g} of E|y|^2. "
                f"Got y_second_moment={self.y_second_moment:.6g}; the joint second moment of (x, y) must be positive semi-definite."
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
            Subtract the sample means first. The network has no bias, so uncentred moments (the default) describe it as it stands.
        standardize : bool
            Centre, then scale every input and output to unit variance (constant ones stay zero). Losses are then of order one, which is what the defaults of
            lam and mu are meant for: mu is in units of the loss.
        names : sequence of str, optional
            Names of the modalities, when `inputs` is a sequence.
        """
        if (
            isinstance(inputs, np.ndarray)
            and inputs.ndim == 2
            and len(inputs) == len(np.asarray(y))
        ):
            raise ValueError(
                f"`inputs` must hold one array per modality; wrap a single modality in a list. Got one array of shape {inputs.shape}."
            )
        if isinstance(inputs, Mapping):
            names, inputs = tuple(inputs), tuple(inputs.values())
        target = finite_array("y", y)
        columns = [finite_array(f"inputs[{k}]", x) for k, x in enumerate(inputs)]
        columns = [x[:, None] if x.ndim == 1 else x for x in columns]
        target = target[:, None] if target.ndim == 1 else target
        if not columns or target.ndim != 2 or len(target) == 0:
            raise ValueError(
                f"`inputs` must hold at least one array and `y` at least one sample. Got {len(columns)} arrays, y of shape {target.shape}."
            )
        for k, x in enumerate(columns):
            if x.ndim != 2 or len(x) != len(target):
                raise ValueError(
                    f"`inputs[{k}]` must have shape (n, d_k) with n = {len(target)} as in `y`. Got shape {x.shape}."
                )
        if center or standardize:
            columns = [x - x.mean(0) for x in columns]
            target = target - target.mean(0)
        if standardize:
            columns = [x / np.where(x.std(0) > 0, x.std(0), 1.0) for x in columns]
            target = target / np.where(target.std(0) > 0, target.std(0), 1.0)
        stacked = np.hstack(columns)
        splits = np.cumsum([x.shape[1] for x in columns])[:-1]
        n = len(target)
        return cls(
            [np.split(rows, splits, axis=1) for rows in np.split(stacked.T @ stacked / n, splits)],
            np.split(target.T @ stacked / n, splits, axis=1),
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
        """
        if not (np.isfinite(noise_variance) and noise_variance >= 0):
            raise ValueError(
                f"`noise_variance` must be finite and >= 0. Got noise_variance={noise_variance}."
            )
        true = [np.atleast_2d(finite_array(f"weights[{k}]", w)) for k, w in enumerate(weights)]
        if not true or any(w.ndim != 2 or len(w) != len(true[0]) for w in true):
            raise ValueError(
                f"`weights` must be arrays (m, d_k) with one m. Got shapes {[w.shape for w in true]}."
            )
        blocks = _moment_blocks(sigma, tuple(w.shape[1] for w in true))
        cross = [
            sum((true[j] @ blocks[j][k] for j in range(len(true))), np.zeros((1, 1)))
            for k in range(len(true))
        ]
        signal = sum((cross[k] @ true[k].T for k in range(len(true))), np.zeros((1, 1)))
        signal = (signal + signal.T) / 2
        return cls(blocks, cross, signal + noise_variance * np.eye(len(signal)), names=names)

    # ---------------------------------------------------------------- blocks and optima

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where each modality's features start in the stacked input, and where the last one ends: K + 1 numbers."""
        return (0, *map(int, np.cumsum(self.dims)))

    def features(self, k: int) -> slice:
        """The columns of modality k in the stacked input."""
        return slice(self.offsets[k], self.offsets[k + 1])

    @cached_property
    def sigma(self) -> tuple[tuple[FloatArray, ...], ...]:
        """Blocks :math:`E[x_k x_l^T]`, each (d_k, d_l)."""
        every = range(self.num_modalities)
        return tuple(
            tuple(self.input_moment[self.features(k), self.features(j)] for j in every)
            for k in every
        )

    @cached_property
    def sigma_yx(self) -> tuple[FloatArray, ...]:
        """Blocks :math:`C_k = E[y x_k^T]`, each (m, d_k)."""
        return tuple(self.cross_moment[:, self.features(k)] for k in range(self.num_modalities))

    @cached_property
    def joint_map(self) -> FloatArray:
        """The (m, D) map of least norm that minimises f_mm; ``joint_map[:, features(k)]`` is where V_k W_k ends."""
        return _frozen(generalised_solve(self.cross_moment, self.input_moment))

    @cached_property
    def unimodal_maps(self) -> tuple[FloatArray, ...]:
        """The (m, d_k) maps of least norm that minimise f_k, where U_k W_k ends."""
        return tuple(
            _frozen(generalised_solve(self.sigma_yx[k], self.sigma[k][k]))
            for k in range(self.num_modalities)
        )

    @cached_property
    def unimodal_optima(self) -> FloatArray:
        r"""(K,) exact optima :math:`f_k^* = \frac12 (E|y|^2 - tr C_k S_{kk}^{+} C_k^T)`, in units of the loss."""
        explained = [
            np.sum(best * cross)
            for best, cross in zip(self.unimodal_maps, self.sigma_yx, strict=True)
        ]
        return _frozen(np.maximum(self.y_second_moment - np.array(explained), 0.0) / 2)

    @cached_property
    def joint_optimum(self) -> float:
        r"""The exact minimum of f_mm, in units of the loss."""
        return (
            max(self.y_second_moment - float(np.sum(self.joint_map * self.cross_moment)), 0.0) / 2
        )

    # ---------------------------------------------------------------- samples, files, equality

    def sample(self, n_samples: int, seed: int = 0) -> tuple[list[FloatArray], FloatArray]:
        """Gaussian samples with these second moments (the residual of y is spread evenly over the outputs).

        Returns
        -------
        inputs : K arrays (n_samples, d_k)
        y : array (n_samples, m)
        """
        if n_samples < 1:
            raise ValueError(f"`n_samples` must be >= 1. Got n_samples={n_samples}.")
        rng = np.random.default_rng(seed)
        values, vectors = np.linalg.eigh(self.input_moment)
        stacked = (
            rng.standard_normal((n_samples, len(values)))
            * np.sqrt(np.maximum(values, 0.0))
            @ vectors.T
        )
        noise = rng.standard_normal((n_samples, self.output_dim)) * np.sqrt(
            2 * self.joint_optimum / self.output_dim
        )
        return [
            stacked[:, self.features(k)] for k in range(self.num_modalities)
        ], stacked @ self.joint_map.T + noise

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
        try:
            fields = json.loads(text)
            splits = np.cumsum(fields["dims"])[:-1]
            moment, cross = (
                np.array(fields["input_moment"], dtype=float),
                np.array(fields["cross_moment"], dtype=float),
            )
            sigma = [np.split(rows, splits, axis=1) for rows in np.split(moment, splits)]
            blocks, second, names = (
                np.split(cross, splits, axis=1),
                fields["y_second_moment"],
                fields.get("names"),
            )
        except (json.JSONDecodeError, KeyError, TypeError, IndexError, ValueError) as error:
            raise ValueError(
                f"`text` must be a problem as written by `to_json`: an object with dims, input_moment, cross_moment, y_second_moment. "
                f"Got {text[:60]!r} ({type(error).__name__}: {error})."
            ) from None
        return cls(sigma, blocks, second, names=names)

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_json` to a file, atomically."""
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
        return f"LateFusionProblem(dims={self.dims}, output_dim={self.output_dim}, unimodal_optima=[{optima}], joint_optimum={self.joint_optimum:.4g})"
