"""The runs of a sweep, numbered: axes, random draws, chunks."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from mimo_sim._checks import check_count, is_sequence, shown

Columns: TypeAlias = dict[str, list[Any]]  # the parameters of n runs: name -> n values

MOST_SEEDS = 10_000_000  # all seeds are in memory
LAWS = ("uniform", "log", "int")
TRIED = 1000  # values of an axis that are tried before any work starts
CHUNK_RUNS = {  # least and most runs of a chunk, for speed and for memory
    "batch": (2048, 16_384),
    "cuda": (131_072, 262_144),
}
CHUNK_STEPS = {"batch": 400_000_000, "cuda": 100_000_000_000}  # runs times steps: some seconds
CHUNKS = 32  # of a sweep, where its runs are many enough


@dataclass(frozen=True)
class Design:
    """All runs of a sweep, numbered from 0; the last dimension varies fastest."""

    axes: dict[str, tuple[str, list[Any]]]  # parameter -> its dimension and its values
    sizes: dict[str, int]  # dimension -> its length
    fixed: dict[str, Any]  # parameter -> its one value
    chunk: int  # runs per chunk

    @property
    def runs(self) -> int:
        """Number of runs."""
        return math.prod(self.sizes.values())

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return math.ceil(self.runs / self.chunk)

    def dim(self, name: str) -> str | None:
        """The dimension along which a parameter varies; None where it does not."""
        return self.axes[name][0] if name in self.axes else None

    def rows(self, index: int) -> range:
        """The runs of a chunk."""
        return range(index * self.chunk, min((index + 1) * self.chunk, self.runs))

    def columns(self, runs: np.ndarray) -> Columns:
        """The parameters of these runs."""
        columns = {name: [value] * len(runs) for name, value in self.fixed.items()}
        indices = np.unravel_index(runs, tuple(self.sizes.values()))
        places = dict(zip(self.sizes, indices, strict=True))
        for name, (dim, values) in self.axes.items():
            columns[name] = [values[i] for i in places[dim]]
        return columns

    def trial(self) -> np.ndarray:
        """Runs in which every value of every axis occurs, at most TRIED of each axis.

        In each of them all other axes are at their first value.
        """
        found = []
        stride = self.runs  # how many runs lie between two values of the axis
        for length in self.sizes.values():
            stride //= length
            found.append(np.linspace(0, length - 1, min(length, TRIED)).astype(int) * stride)
        return np.unique(np.concatenate(found))


def lay_out(
    axes: Mapping[str, Any],
    fixed: dict[str, Any],
    of_problem: set[str],
    seeds: Any,
    samples: int | None,
    design_seed: int,
) -> Design:
    """The design, with its chunks still to be chosen.

    Parameters of the problem vary slowest, so that neighbouring runs share their problem.
    """
    laid: dict[str, tuple[str, list[Any]]] = {}
    single = dict(fixed)
    for name, values in axes.items():
        if isinstance(values, tuple) and samples is not None:
            laid[name] = ("sample", _drawn(name, values, samples, design_seed))
        elif isinstance(values, tuple) and values and values[0] in LAWS:
            raise ValueError(
                "A random design needs `samples`, the number of draws."
                f" Got {name}={values!r} and samples=None."
            )
        elif _is_sequence(values):
            laid[name] = (name, _values(name, values))
        else:
            single[name] = _plain(values)
    if samples is not None and not any(dim == "sample" for dim, _ in laid.values()):
        raise ValueError(
            "`samples` needs an axis that is a distribution, such as lam=('log', 0.1, 100)."
            f" Got samples={samples} and axes {list(axes)}."
        )
    lengths = {dim: len(values) for dim, values in laid.values()}
    slow = {dim for name, (dim, _) in laid.items() if name in of_problem or dim == "sample"}
    sizes = {dim: lengths[dim] for dim in lengths if dim in slow}
    sizes |= {dim: lengths[dim] for dim in lengths if dim not in slow}
    laid["seed"] = ("seed", _seeds(seeds))
    sizes["seed"] = len(laid["seed"][1])
    return Design(laid, sizes, single, chunk=0)


def law(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """A distribution with its kind in front."""
    return values if values and isinstance(values[0], str) else ("uniform", *values)


def chunk_size(design: Design, steps: int, engine: str, chunk: int | None) -> int:
    """Runs per chunk: the number that is asked for, or some seconds of work in bounded memory.

    A chunk that is long enough is a multiple of the least length for its engine.
    """
    if chunk is not None:
        return chunk
    least, most = CHUNK_RUNS[engine]
    runs = min(max(design.runs // CHUNKS, least), most, max(CHUNK_STEPS[engine] // steps, 64))
    return runs // least * least if runs >= least else runs


def _drawn(name: str, values: tuple[Any, ...], samples: int, seed: int) -> list[Any]:
    """Draws of one parameter.

    They depend on its name, its law and the seed alone. More samples begin with the same draws.
    """
    kind, *bounds = law(values)
    _check_law(name, values, kind, bounds)
    low, high = bounds
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    draws: np.ndarray
    if kind == "int":
        draws = rng.integers(low, high, samples, endpoint=True)
    elif kind == "log":
        logarithms = rng.uniform(math.log(low), math.log(high), samples)
        draws = np.clip(np.exp(logarithms), low, high)
    else:
        draws = rng.uniform(low, high, samples)
    return list(draws.tolist())


def _check_law(name: str, values: tuple[Any, ...], kind: Any, bounds: list[Any]) -> None:
    number = (int, float, np.number)
    finite = all(isinstance(bound, number) and math.isfinite(bound) for bound in bounds)
    ordered = len(bounds) == 2 and finite and bounds[0] < bounds[1]
    whole = kind != "int" or (ordered and all(float(bound).is_integer() for bound in bounds))
    if kind not in LAWS or not ordered or not whole or (kind == "log" and bounds[0] <= 0):
        raise ValueError(
            "A tuple is a distribution where `samples` is given: (low, high), ('log', low, high)"
            " or ('int', low, high) with low < high, low > 0 for 'log', and whole bounds for 'int'."
            f" The values of a grid axis go in a list. Got {name}={values!r}."
        )


def _seeds(seeds: Any) -> list[Any]:
    """The seeds of a design, from their number or as they are."""
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        if seeds < 1:
            raise ValueError(f"`seeds` must have at least one value. Got seeds={shown(seeds)}.")
        seeds = range(check_count("seeds", seeds, 1, MOST_SEEDS))
    if not is_sequence(seeds):
        raise TypeError(
            f"`seeds` must be a number of seeds or a sequence of seeds. Got seeds={shown(seeds)}."
        )
    values = _values("seeds", seeds)
    if any(isinstance(seed, int) and seed >= 2**63 for seed in values):
        raise ValueError(
            f"`seeds` must be below 2**63, which a file can hold. Got {shown(values)}."
        )
    return [check_count("seed", seed, 0) for seed in values]


def _is_sequence(values: Any) -> bool:
    """Whether these are the values of an axis; a word or a 0-d array is one value."""
    if isinstance(values, str) or getattr(values, "ndim", 1) == 0:
        return False
    return isinstance(values, Sequence | np.ndarray | xr.DataArray)


def _values(name: str, values: Any) -> list[Any]:
    """The values of an axis as plain Python objects."""
    if isinstance(values, np.ndarray | xr.DataArray):
        plain = np.asarray(values).tolist()
    else:
        plain = [_plain(value) for value in values]
    if not plain:
        raise ValueError(f"Axis `{name}` must have at least one value. Got none.")
    if len({repr(value) for value in plain}) < len(plain):
        raise ValueError(
            f"The values of axis `{name}` must differ from each other. Got {plain!r:.80}."
        )
    return list(plain)


def _plain(value: Any) -> Any:
    """One value as a plain Python object."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    return value
