r"""Many runs at once: the recursion of :mod:`mimo_sim.dynamics.engines.gram`, written out for fixed sizes, with one run per vector lane.

A run is one column of two tables: its *state* (factor Z_k, estimates of f*, memory of sigma) and its *constants* (moments, optimal maps, lam, 1/mu, ...),
both of shape (rows, runs). For small problems the step is generated as straight-line scalar code (:func:`step_source`), which the compiler turns into
vector instructions across :data:`LANES` runs; the CUDA engine compiles the same lines with one thread per run. Larger problems vectorise within a run
and call :func:`mimo_sim.dynamics.engines.gram.evaluate`.

A run's arithmetic never depends on its neighbours, so its bits do not depend on the size of the batch, its place in it, or the threads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeAlias

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from mimo_sim._checks import FloatArray
from mimo_sim.dynamics.engines.gram import _observe, count_flips, evaluate
from mimo_sim.dynamics.records import FLIP_SIZE

Advance: TypeAlias = Callable[
    [FloatArray, FloatArray, int], object
]  # state (rows, runs) in place, constants (rows, runs), steps

LANES = 32  # runs side by side: several vectors, so that there is independent work to hide the latency of a step
GENERATED_SIZE = 40  # the step is written out while K * (2m + d) * r and m * (K d)**2 are at most this; beyond, compiling takes tens of seconds

_jit: Any = njit(cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")


@intrinsic
def wide(_):  # type: ignore[no-untyped-def]
    """Let the compiler use vectors of 512 bits in the calling function where the processor has them; for some processors LLVM prefers 256 otherwise."""

    def mark(context, builder, *_):  # type: ignore[no-untyped-def]
        set.add(
            builder.function.attributes, '"prefer-vector-width"="512"'
        )  # llvmlite's own `add` knows only attributes without a value
        return context.get_dummy_value()

    return types.void(), mark


@dataclass(frozen=True)
class Shape:
    """Sizes of a run's tables: K modalities, m outputs, d features each, r columns of the factor; `decay`: is there weight decay?"""

    K: int
    m: int
    d: int
    r: int
    decay: bool

    @property
    def n(self) -> int:
        """Rows of a factor."""
        return 2 * self.m + self.d

    @property
    def generated(self) -> bool:
        """Is the step written out for these sizes?"""
        return max(self.K * self.n * self.r, self.m * (self.K * self.d) ** 2) <= GENERATED_SIZE

    @cached_property
    def state(self) -> dict[str, slice]:
        """Rows of the state, by name."""
        return _rows(
            Z=self.K * self.n * self.r,
            base=self.K,
            sigma=self.K,
            change=self.K,
            flips=1,
            peak=self.K,
            bad=1,
        )

    @cached_property
    def constants(self) -> dict[str, slice]:
        """Rows of the constants, by name."""
        D = self.K * self.d
        return _rows(
            S=D * D,
            joint=self.m * D,
            uni=self.m * D,
            lam=1,
            rate=1,
            gradient=1,
            plain=1,
            hold=1,
            keep=1,
            keep_head=1,
            eta=1,
            ceiling=1,
        )


def _rows(**sizes: int) -> dict[str, slice]:
    stops = np.cumsum(list(sizes.values())).tolist()
    return {
        name: slice(stop - size, stop)
        for (name, size), stop in zip(sizes.items(), stops, strict=True)
    }


@_jit
def exp(x):  # type: ignore[no-untyped-def]
    """e**x for x <= 0 to within an ulp, in operations that vectorise; 0 where the result would be subnormal (x < -708.4), NaN for NaN."""
    shifted = (
        x * 1.4426950408889634 + 6755399441055744.0
    )  # 1.5 * 2**52 rounds x / log 2 to an integer n, in the low bits
    n = shifted - 6755399441055744.0
    y = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10
    y2 = y * y
    y4 = y2 * y2
    low = (0.5 + 0.16666666666666669 * y) + (0.04166666666662413 + 0.008333333333330062 * y) * y2
    middle = (0.0013888888917213717 + 0.00019841269863053618 * y) + (
        2.4801521295954376e-05 + 2.7557268459997064e-06 * y
    ) * y2
    high = 2.7620088445409746e-07 + 2.510038549551032e-08 * y
    q = (
        low + y4 * (middle + y4 * high)
    )  # (e**y - 1 - y) / y**2 interpolated at Chebyshev nodes, 2e-17 off; grouped to shorten the chain of dependences
    power = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)
    return 0.0 if x < -708.3964185322641 else (1.0 + (y + y2 * q)) * power


# ------------------------------------------------------------------------------------------ the step, written out


def _sum(terms: list[str]) -> str:
    return " + ".join(terms)


def step_source(shape: Shape) -> tuple[list[str], list[str], list[str]]:
    """One step of one run as lines of Python on scalars: state and constants by row name and index, e.g. ``Z4``, ``S0``. Losses, then weights, then update."""
    K, m, d, r, n = shape.K, shape.m, shape.d, shape.r, shape.n
    D, modalities, outputs, features, columns = K * d, range(K), range(m), range(d), range(r)

    def z(k: int, i: int, j: int) -> str:
        return f"Z{(k * n + i) * r + j}"

    losses: list[str] = []
    for k in modalities:
        for a in outputs:
            for i in range(k * d, k * d + d):
                w = [z(k, 2 * m + i - k * d, j) for j in columns]
                losses.append(
                    f"E{a}_{i} = joint{a * D + i} - ({_sum([f'{z(k, a, j)} * {w[j]}' for j in columns])})"
                )
                losses.append(
                    f"D{a}_{i} = uni{a * D + i} - ({_sum([f'{z(k, m + a, j)} * {w[j]}' for j in columns])})"
                )
    for a in outputs:
        for i in range(D):
            own = range(i // d * d, i // d * d + d)
            losses.append(f"R{a}_{i} = {_sum([f'S{i * D + j} * E{a}_{j}' for j in range(D)])}")
            losses.append(f"Q{a}_{i} = {_sum([f'S{i * D + j} * D{a}_{j}' for j in own])}")
    losses.append(
        f"excess_mm = 0.5 * ({_sum([f'R{a}_{i} * E{a}_{i}' for a in outputs for i in range(D)])})"
    )
    for k in modalities:
        losses.append(
            f"own = 0.5 * ({_sum([f'Q{a}_{i} * D{a}_{i}' for a in outputs for i in range(k * d, k * d + d)])})"
        )
        losses += [f"base{k} = min(base{k}, own + hold0)", f"gap{k} = own - base{k}"]
        squares = _sum(
            [f"{w} * {w}" for w in (z(k, 2 * m + i, j) for i in features for j in columns)]
        )
        losses.append(f"peak{k} = max(peak{k}, {squares})")
    losses += ["top0 = gap0", *(f"top0 = max(top0, gap{k})" for k in range(1, K))]
    losses.append("bad0 = bad0 if excess_mm < ceiling0 and top0 < ceiling0 else 1.0")

    weights: list[str] = []
    if K == 2:  # one exponential instead of two
        weights += [
            "lead = (gap1 - gap0) * rate0",
            "small = exp(-abs(lead))",
            "large = 1.0 / (1.0 + small)",
            "small *= large",
        ]
        weights += [
            "weight0 = small if lead > 0.0 else large",
            "weight1 = large if lead > 0.0 else small",
        ]
    else:
        weights += [f"weight{k} = exp((gap{k} - top0) * rate0)" for k in modalities]
        weights += [
            f"total = 1.0 / ({_sum([f'weight{k}' for k in modalities])})",
            *(f"weight{k} *= total" for k in modalities),
        ]
    for k in modalities:
        weights += [
            f"swing = weight{k} - sigma{k}",
            f"turned = swing * change{k} < 0.0 and min(abs(swing), abs(change{k})) > {FLIP_SIZE}",
        ]
        weights += [
            "flips0 += 1.0 if turned else 0.0",
            f"change{k} = swing",
            f"sigma{k} = weight{k}",
        ]

    update: list[str] = []
    kept, kept_head = ("keep0 * ", "keep_head0 * ") if shape.decay else ("", "")
    for k in modalities:
        update += [f"own = eta0 * lam0 * sigma{k}", "head = own * gradient0 + plain0"]
        for a in outputs:
            for i in range(k * d, k * d + d):
                update += [
                    f"x{a}_{i} = eta0 * R{a}_{i}",
                    f"y{a}_{i} = own * Q{a}_{i}",
                    f"h{a}_{i} = head * Q{a}_{i}",
                ]
        for j in columns:
            w = [z(k, 2 * m + i, j) for i in features]
            new = {}
            for a in outputs:
                v, u = z(k, a, j), z(k, m + a, j)
                new[v] = f"{kept}{v} + " + _sum([f"x{a}_{k * d + i} * {w[i]}" for i in features])
                new[u] = f"{kept_head}{u} + " + _sum(
                    [f"h{a}_{k * d + i} * {w[i]}" for i in features]
                )
            for i in features:
                terms = [
                    f"x{a}_{k * d + i} * {z(k, a, j)} + y{a}_{k * d + i} * {z(k, m + a, j)}"
                    for a in outputs
                ]
                new[w[i]] = f"{kept}{w[i]} + " + _sum(terms)
            update.append(f"{', '.join(new)} = {', '.join(new.values())}")
    return losses, weights, update


def names(rows: dict[str, slice]) -> list[str]:
    """The scalar behind every row, as :func:`step_source` calls it."""
    return [f"{name}{i}" for name, place in rows.items() for i in range(place.stop - place.start)]


def _variables(lines: list[str]) -> tuple[set[str], set[str]]:
    """Names that occur in, and that are assigned by, these lines."""
    targets = [re.split(r" [-+*]?= ", line)[0] for line in lines]
    return set(re.findall(r"[A-Za-z]\w*", " ".join(lines))), set(
        re.findall(r"[A-Za-z]\w*", " ".join(targets))
    )


def _lanes_source(shape: Shape) -> str:
    """The loop over blocks of runs, steps, and lanes. Each third of a step is a loop of its own, short enough for the processor to overlap several lanes."""
    state, constants, parts = names(shape.state), names(shape.constants), step_source(shape)
    used = [_variables(part) for part in parts]
    between = sorted(
        {
            name
            for i, (_, made) in enumerate(used)
            for need, _ in used[i + 1 :]
            for name in made & need
        }
        - {*state, "own"}
    )
    scratch = [*state, *constants, *between]
    inner: list[str] = []
    for part, (needed, made) in zip(parts, used, strict=True):
        rows = list(enumerate(scratch))
        inner.append(f"            for lane in range({LANES}):")
        inner += [
            f"                {name} = s[{row * LANES} + lane]"
            for row, name in rows
            if name in needed and not (name in made and name in between)
        ]
        inner += [f"                {line}" for line in part]
        inner += [
            f"                s[{row * LANES} + lane] = {name}"
            for row, name in rows
            if name in made
        ]
    return "\n".join(
        [
            "def advance_lanes(state, constants, steps):",
            "    wide()",
            f"    s = np.empty({len(scratch) * LANES})",
            "    runs = state.shape[1]",
            f"    for first in range(0, runs, {LANES}):",
            f"        for lane in range({LANES}):",
            "            run = min(first + lane, runs - 1)",
            f"            for row in range({len(state)}):",
            f"                s[row * {LANES} + lane] = state[row, run]",
            f"            for row in range({len(constants)}):",
            f"                s[(row + {len(state)}) * {LANES} + lane] = constants[row, run]",
            "        for _ in range(steps):",
            *inner,
            f"        for lane in range(min({LANES}, runs - first)):",
            f"            for row in range({len(state)}):",
            f"                state[row, first + lane] = s[row * {LANES} + lane]",
        ]
    )


@_jit
def _fill(array, column, first):  # type: ignore[no-untyped-def]
    """Copy `column`, from row `first` on, into the vector `array`. As a slice assignment this would take seconds more to compile, for its error message."""
    for i in range(array.size):
        array[i] = column[first + i]


@_jit
def _load(state, constants, run, Z, base, S, joint, uni):  # type: ignore[no-untyped-def]
    """Copy one run's column into the arrays of :func:`mimo_sim.dynamics.engines.gram.evaluate`; views of its other state and of its scalar constants, and heads."""
    _fill(Z.reshape(Z.size), state[:, run], 0)
    _fill(base, state[:, run], Z.size)
    _fill(S.reshape(S.size), constants[:, run], 0)
    _fill(joint.reshape(joint.size), constants[:, run], S.size)
    _fill(uni.reshape(uni.size), constants[:, run], S.size + joint.size)
    scalars = constants[S.size + 2 * joint.size :, run]
    return (
        state[Z.size + base.size :, run],
        scalars,
        1 if scalars[2] > 0 else (2 if scalars[3] > 0 else 0),
    )


@_jit
def _advance_one_by_one(state, constants, K, m, d, r, steps):  # type: ignore[no-untyped-def]
    """The same step for sizes known at run time only, one run after the other."""
    n, D, sizes = 2 * m + d, K * d, (K, m, d, r)
    Z, dZ, work = np.empty((K, n, r)), np.empty((K, n, r)), np.empty((4, m, D))
    S, joint, uni = np.empty((D, D)), np.empty((m, D)), np.empty((m, D))
    base, excess, weight = np.empty(K), np.empty(K), np.empty(K)
    for run in range(state.shape[1]):
        memory, scalars, heads = _load(state, constants, run, Z, base, S, joint, uni)
        sigma, change, peak = memory[:K], memory[K : 2 * K], memory[2 * K + 1 : 3 * K + 1]
        lam, mu, hold, keep, keep_head, eta, ceiling = (
            scalars[0],
            1.0 / scalars[1],
            scalars[4],
            scalars[5],
            scalars[6],
            scalars[7],
            scalars[8],
        )
        for _ in range(steps):
            excess_mm, top = evaluate(
                Z, sizes, S, joint, uni, lam, mu, heads, hold == 0.0, base, excess, weight, work, dZ
            )
            if not (excess_mm < ceiling and top < ceiling):
                memory[3 * K + 1] = 1.0
            memory[2 * K] += count_flips(K, weight, sigma, change)
            for k in range(K):
                squares = 0.0
                for i in range(2 * m, n):
                    for j in range(r):
                        squares += Z[k, i, j] ** 2
                peak[k] = max(peak[k], squares)
                for i in range(n):
                    kept = keep_head if m <= i < 2 * m else keep
                    for j in range(r):
                        Z[k, i, j] = kept * Z[k, i, j] + eta * dZ[k, i, j]
        _fill(state[: Z.size, run], Z.reshape(Z.size), 0)
        _fill(state[Z.size : Z.size + K, run], base, 0)


@_jit
def _view(state, constants, K, m, d, r, out):  # type: ignore[no-untyped-def]
    """Fill the columns of `out`, laid out as in :func:`view`, with what the state of each run says."""
    n, D, sizes = 2 * m + d, K * d, (K, m, d, r)
    Z, dZ, work, norms = (
        np.empty((K, n, r)),
        np.empty((K, n, r)),
        np.empty((4, m, D)),
        np.empty((K, 3)),
    )
    S, joint, uni = np.empty((D, D)), np.empty((m, D)), np.empty((m, D))
    base, excess, weight = np.empty(K), np.empty(K), np.empty(K)
    for run in range(state.shape[1]):
        _, scalars, heads = _load(state, constants, run, Z, base, S, joint, uni)
        lam, mu = scalars[0], 1.0 / scalars[1]
        excess_mm, top = evaluate(
            Z,
            sizes,
            S,
            joint,
            uni,
            lam,
            mu,
            heads,
            scalars[4] == 0.0,
            base,
            excess,
            weight,
            work,
            dZ,
        )
        _observe(Z, dZ, sizes, lam, heads, weight, norms)
        total, speed = 0.0, 0.0
        for k in range(K):
            gap = excess[k] - base[k]
            total += math.exp((gap - top) / mu)
            rate = 0.0
            for a in range(m):
                for i in range(k * d, k * d + d):
                    rate += work[2, a, i] ** 2 + (lam * weight[k] * work[3, a, i]) ** 2
                    out[2 + 6 * K + a * D + i, run] = joint[a, i] - work[0, a, i]
            speed = max(speed, rate)
            out[2 + k, run], out[2 + K + k, run], out[2 + 2 * K + k, run] = (
                excess[k],
                gap,
                weight[k],
            )
            for block in range(3):
                out[2 + (3 + block) * K + k, run] = norms[k, block]
        out[0, run], out[1, run] = (
            excess_mm,
            lam * (top + mu * math.log(total)) if lam > 0.0 else 0.0,
        )
        out[2 + 6 * K + m * D, run] = speed


def view(shape: Shape, state: FloatArray, constants: FloatArray) -> dict[str, FloatArray]:
    r"""What the state of some runs says, by name, each (rows, runs).

    ``excess_mm``; ``penalty``, lam times the smoothed maximum; ``excess``, ``gap``, ``weight`` (sigma) and the norms ``head``, ``uni_head``, ``encoder`` of
    each modality; ``joint_map`` (m K d); ``speed``, the largest :math:`|R_k|^2 + (\lambda\sigma_k|Q_k|)^2`.
    """
    K = shape.K
    rows = _rows(
        excess_mm=1,
        penalty=1,
        excess=K,
        gap=K,
        weight=K,
        head=K,
        uni_head=K,
        encoder=K,
        joint_map=shape.m * K * shape.d,
        speed=1,
    )
    out = np.empty((rows["speed"].stop, state.shape[1]))
    _view(state, constants, K, shape.m, shape.d, shape.r, out)
    return {name: out[place] for name, place in rows.items()}


@cache
def advance(shape: Shape) -> Advance:
    """The compiled function that takes all runs of this shape a number of steps on, in place.

    Per run it also raises ``peak`` to the largest :math:`|W_k|_F^2` met at the start of any of these steps, sets ``bad`` to 1 if the losses met there reach
    the ceiling, and counts ``flips``.
    """
    if not shape.generated:
        sizes = (shape.K, shape.m, shape.d, shape.r)
        return lambda state, constants, steps: _advance_one_by_one(state, constants, *sizes, steps)
    scope: dict[str, Any] = {"np": np, "exp": exp, "wide": wide, "__name__": __name__}
    exec(
        compile(_lanes_source(shape), __file__, "exec"), scope
    )  # under this file's name, so that numba keeps the result in its cache
    compiled: Advance = _jit(scope["advance_lanes"])
    return compiled
