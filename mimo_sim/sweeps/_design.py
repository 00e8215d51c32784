"""The runs of a sweep, numbered: axes, random draws, chunks."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

Columns: TypeAlias = dict[str, list[Any]]  # the parameters of n runs: name -> n values
TRIED = 1000  # values of an axis that are tried before any work starts
CHUNK_RUNS = {
    "batch": (2048, 16_384),
    "cuda": (131_072, 262_144),
}  # bounds, for speed and for memory; a chunk is a multiple of the first
CHUNK_STEPS = {
    "batch": 400_000_000,
    "cuda": 100_000_000_000,
}  # run-steps of a chunk: seconds of work


@dataclass(frozen=True)
class Design:
    """All runs, numbered: `axes` maps a parameter to its dimension and values, `sizes` a dimension to its length (the last one varies fastest)."""

    axes: dict[str, tuple[str, list[Any]]]
    sizes: dict[str, int]
    fixed: dict[str, Any]
    chunk: int

    @property
    def runs(self) -> int:
        """Number of runs."""
        return math.prod(self.sizes.values())

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.runs // self.chunk)

    def dim(self, name: str) -> str | None:
        """The dimension along which a parameter varies."""
        return self.axes[name][0] if name in self.axes else None

    def rows(self, index: int) -> range:
        """The runs of a chunk."""
        return range(index * self.chunk, min((index + 1) * self.chunk, self.runs))

    def columns(self, runs: np.ndarray) -> Columns:
        """The parameters of these runs."""
        places = dict(
            zip(self.sizes, np.unravel_index(runs, tuple(self.sizes.values())), strict=True)
        )
        varied = {
            name: [values[i] for i in places[dim]] for name, (dim, values) in self.axes.items()
        }
        return {name: [value] * len(runs) for name, value in self.fixed.items()} | varied

    def trial(self) -> np.ndarray:
        """Runs in which every value of every axis occurs (TRIED of each at most), while the other axes are at their first value."""
        lengths = list(self.sizes.values())
        strides = [math.prod(lengths[i + 1 :]) for i in range(len(lengths))]
        return np.unique(
            np.concatenate(
                [
                    np.linspace(0, n - 1, min(n, TRIED)).astype(int) * stride
                    for n, stride in zip(lengths, strides, strict=True)
                ]
            )
        )


def _values(name: str, values: Any) -> list[Any]:
    """The values of an axis as plain Python objects."""
    plain = (
        np.asarray(values).tolist()
        if isinstance(values, np.ndarray | xr.DataArray)
        else [_plain(value) for value in values]
    )
    if not plain:
        raise ValueError(f"Axis `{name}` must have at least one value. Got none.")
    if len({repr(value) for value in plain}) < len(plain):
        raise ValueError(
            f"The values of axis `{name}` must differ from each other. Got {plain!r:.80}."
        )
    return plain


def _plain(value: Any) -> Any:
    return (
        value.item()
        if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0)
        else value
    )


def law(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """A distribution with its kind in front."""
    return values if values and isinstance(values[0], str) else ("uniform", *values)


def _drawn(name: str, values: tuple[Any, ...], samples: int, seed: int) -> list[Any]:
    """Draws of one parameter; they depend on its name, its law and the seed alone, and more samples begin with the same ones."""
    kind, *bounds = law(values)
    finite = all(
        isinstance(bound, int | float | np.number) and math.isfinite(bound) for bound in bounds
    )
    if (
        kind not in ("uniform", "log", "int")
        or len(bounds) != 2
        or not finite
        or not bounds[0] < bounds[1]
        or (kind == "log" and bounds[0] <= 0)
    ):
        raise ValueError(
            f"A tuple is a distribution where `samples` is given: (low, high), ('log', low, high) or ('int', low, high) with low < high, and low > 0 "
            f"for 'log'; the values of a grid axis go in a list. Got {name}={values!r}."
        )
    rng, (low, high) = np.random.default_rng([seed, zlib.crc32(name.encode())]), bounds
    if kind == "int":
        return list(rng.integers(low, high, samples, endpoint=True).tolist())
    if kind == "log":
        return list(
            np.clip(np.exp(rng.uniform(math.log(low), math.log(high), samples)), low, high).tolist()
        )
    return list(rng.uniform(low, high, samples).tolist())


def lay_out(
    axes: Mapping[str, Any],
    fixed: dict[str, Any],
    of_problem: set[str],
    seeds: Any,
    samples: int | None,
    design_seed: int,
) -> Design:
    """The design without its chunking. Problem parameters vary slowest, so that neighbouring runs share their problem."""
    laid: dict[str, tuple[str, list[Any]]] = {}
    for name, values in axes.items():
        if isinstance(values, tuple) and samples is not None:
            laid[name] = ("sample", _drawn(name, values, samples, design_seed))
        elif isinstance(values, tuple) and values and values[0] in ("log", "int", "uniform"):
            raise ValueError(
                f"A random design needs `samples`, the number of draws. Got {name}={values!r} and samples=None."
            )
        elif (
            isinstance(values, Sequence | np.ndarray | xr.DataArray)
            and not isinstance(values, str)
            and getattr(values, "ndim", 1) > 0
        ):
            laid[name] = (name, _values(name, values))
        else:
            fixed = fixed | {name: _plain(values)}
    if samples is not None and not any(dim == "sample" for dim, _ in laid.values()):
        raise ValueError(
            f"`samples` needs an axis that is a distribution, such as lam=('log', 0.1, 100). Got samples={samples} and axes {list(axes)}."
        )
    if isinstance(seeds, bool) or not isinstance(seeds, int | np.integer | Sequence | np.ndarray):
        raise TypeError(
            f"`seeds` must be a number of seeds or a sequence of seeds. Got seeds={seeds!r}."
        )
    seeds = range(int(seeds)) if isinstance(seeds, int | np.integer) else seeds
    lengths = {dim: len(values) for dim, values in laid.values()}
    slow = {dim for name, (dim, _) in laid.items() if name in of_problem or dim == "sample"}
    order = sorted(lengths, key=lambda dim: dim not in slow)
    laid["seed"] = ("seed", _values("seeds", seeds))
    if any(isinstance(seed, int) and seed >= 2**63 for seed in laid["seed"][1]):
        raise ValueError(
            f"`seeds` must be below 2**63, which a file can hold. Got {laid['seed'][1]!r:.80}."
        )
    return Design(
        laid, {dim: lengths[dim] for dim in order} | {"seed": len(laid["seed"][1])}, fixed, 0
    )


def chunk_size(design: Design, steps: int, engine: str, chunk: int | None) -> int:
    """Runs per chunk: seconds of work, bounded memory, and some thirty chunks where there are enough runs."""
    if chunk is not None:
        return chunk
    fewest, most = CHUNK_RUNS[engine]
    runs = min(max(design.runs // 32, fewest), most, max(CHUNK_STEPS[engine] // steps, 64))
    return max(runs // fewest, 1) * fewest if runs >= fewest else runs
