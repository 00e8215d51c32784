r"""Finite data, and the mini-batches that stochastic gradient descent takes of it.

A batch B of b samples has moments of its own, :math:`S_B = \frac1b\sum x x^T` and
:math:`C_B = \frac1b\sum y x^T`. One step on the losses of a batch is a step of
:mod:`.engines.gram` with these moments in place of those of all data. So the Gram matrices of
Z_k = [V_k; U_k; W_k^T] are still an exact state, whatever the width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo_sim import _blocks
from mimo_sim._checks import FloatArray, check_count, check_flag, check_positive
from mimo_sim._immutable import Immutable
from mimo_sim._moments import frozen
from mimo_sim.problem import LateFusionProblem
from mimo_sim.solvers import MIMO

Rows = npt.NDArray[np.int64]


def draw(
    problem: LateFusionProblem,
    train_size: int,
    batch_size: int | None = None,
    seed: int = 0,
    *,
    replace: bool = False,
) -> tuple[LateFusionProblem, Batches | None]:
    """Gaussian samples of a problem: the problem that they are, and mini-batches of them.

    Parameters
    ----------
    problem : LateFusionProblem
    train_size : int
        Number of samples, >= 1.
    batch_size : int, optional
        Samples in a batch, 1 ... train_size. By default there are no batches, unless `replace`:
        then a batch is as large as the data.
    seed : int
        Of samples and batches, >= 0.
    replace : bool
        As in :class:`Batches`.
    """
    if batch_size is not None:
        check_count("batch_size", batch_size, 1, check_count("train_size", train_size))
    inputs, y = problem.sample(train_size, seed)
    if batch_size is None and not replace:
        return LateFusionProblem.from_samples(inputs, y, names=problem.names), None
    size = train_size if batch_size is None else batch_size
    batches = Batches(inputs, y, size=size, seed=seed, replace=replace, names=problem.names)
    return batches.problem, batches


class Batches(Immutable):
    """Samples, and the order in which mini-batches of them are drawn.

    Parameters
    ----------
    inputs : K arrays (n, d_k), or a mapping from modality name to such an array
        1-d arrays are taken as (n, 1).
    y : array (n,) or (n, m)
        Targets.
    size : int
        Samples in a batch, 1 ... n.
    seed : int
        Of the order, >= 0. Same seed, same order.
    replace : bool
        False (default): every pass goes through the samples in a new random order. What is left at
        its end and fills no batch is skipped. True: each sample of each batch is drawn from all.
    names : sequence of str, optional
        Names of the modalities, when `inputs` is a sequence.

    Attributes
    ----------
    problem : LateFusionProblem
        The problem whose expectations are averages over all samples.
    inputs : (n, D) array
        The inputs of all modalities side by side.
    target : (n, m) array

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a value is not finite, or `size` or `seed` is outside its range.

    Examples
    --------
    >>> from mimo_sim.generators import superficial_preference
    >>> inputs, y = superficial_preference(noise_variance=0.1).sample(100)
    >>> batches = Batches(inputs, y, size=20)
    >>> batches.per_pass, batches.rows(3).shape
    (5, (3, 20))
    """

    problem: LateFusionProblem
    inputs: FloatArray
    target: FloatArray
    size: int
    seed: int
    replace: bool

    def __init__(
        self,
        inputs: Sequence[npt.ArrayLike] | Mapping[str, npt.ArrayLike],
        y: npt.ArrayLike,
        *,
        size: int,
        seed: int = 0,
        replace: bool = False,
        names: Sequence[str] | None = None,
    ) -> None:
        check_flag("replace", replace)
        problem = LateFusionProblem.from_samples(inputs, y, names=names)
        if isinstance(inputs, Mapping):
            inputs = tuple(inputs.values())
        columns, target = _blocks.sample_columns(inputs, y)
        self._fill(
            problem=problem,
            inputs=frozen(np.hstack(columns)),
            target=frozen(target),
            size=check_count("size", size, 1, len(target)),
            seed=check_count("seed", seed, 0),
            replace=bool(replace),
        )

    @property
    def per_pass(self) -> int:
        """Batches in one pass through the samples, n // size. With `replace` the same number."""
        return len(self.target) // self.size

    def rows(self, count: int) -> Rows:
        """(count, size) which samples are in each of the first batches.

        Examples
        --------
        >>> batches = Batches([[1.0, 2.0, 3.0, 4.0]], [0.0, 1.0, 0.0, 1.0], size=2)
        >>> sorted(batches.rows(2).ravel().tolist())  # one pass
        [0, 1, 2, 3]
        """
        return next(self.chunks(check_count("count", count), check_count("count", count)))

    def chunks(self, count: int, chunk: int) -> Iterator[Rows]:
        """The same rows in pieces of at most `chunk` batches."""
        rng = np.random.default_rng(self.seed)
        drawn = np.empty((0, self.size), dtype=np.int64)
        for start in range(0, count, chunk):
            wanted = min(chunk, count - start)
            if len(drawn) < wanted:
                drawn = np.concatenate([drawn, self._draw(rng, wanted - len(drawn))])
            yield drawn[:wanted]
            drawn = drawn[wanted:]

    def _draw(self, rng: np.random.Generator, least: int) -> Rows:
        """At least so many new batches; without replacement whole passes."""
        n = len(self.target)
        if self.replace:
            return rng.integers(n, size=(least, self.size))
        from mimo_sim.dynamics._shuffle import shuffled

        passes = -(-least // self.per_pass)
        order: Rows = shuffled(rng.random((passes, n)))
        return order[:, : self.per_pass * self.size].reshape(-1, self.size)

    def _key(self) -> tuple[Any, ...]:
        samples = (self.inputs.tobytes(), self.target.tobytes())
        return (self.problem, *samples, self.size, self.seed, self.replace)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Batches) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        n, m = self.target.shape
        return (
            f"Batches({n} samples, dims={self.problem.dims}, output_dim={m}, size={self.size}, "
            f"seed={self.seed}, replace={self.replace})"
        )


def check_batches(
    batches: Batches | None, problem: LateFusionProblem, engine: str, step_size: float | None
) -> None:
    """Raise unless these are batches of the data that `problem` is made of, or None."""
    if batches is None:
        return
    if not isinstance(batches, Batches):
        raise TypeError(f"`batches` must be mimo_sim.Batches. Got {type(batches).__name__}.")
    if batches.problem != problem:
        raise ValueError(
            "`problem` must be `batches.problem`, whose moments are averages over the samples. "
            f"Got problem={problem!r}."
        )
    if engine == "flow":
        raise ValueError(
            "`batches` need discrete steps; engine='flow' has none. Use engine='gram'."
        )
    if step_size is None:
        raise ValueError(
            "`step_size` must be given with `batches`: a batch can be much steeper than all data, "
            "for which theory.default_step_size is safe. Got step_size=None."
        )


def check_decay(decay: float) -> None:
    """Raise unless `decay` is in [0, 1)."""
    check_positive("decay", decay, allow_zero=True)
    if decay >= 1:
        raise ValueError(f"`decay` must be in [0, 1). Got decay={decay!r}.")


def check_use_of_decay(decay: float, method: object, batches: Batches | None) -> None:
    """Raise unless `decay` is 0 where nothing follows losses of batches."""
    if decay > 0 and (batches is None or not isinstance(method, MIMO)):
        raise ValueError(
            "`decay` smooths the losses of mini-batches that MIMO follows: it needs `batches` and "
            f"a MIMO. Got decay={decay!r}."
        )
