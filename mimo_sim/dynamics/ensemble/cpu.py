"""Many runs at once on the CPU.

For small problems the generated step (:mod:`.step`) is compiled so that :data:`LANES` runs advance
side by side in vector instructions. Larger problems are advanced one run after the other, by the
single-run engine's :func:`mimo_sim.dynamics.engines.gram.evaluate`.

A run's arithmetic never depends on its neighbours. So its bits depend neither on the number of
runs, nor on its place among them, nor on the threads.
"""

from __future__ import annotations

import hashlib
import math
import re
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic

from mimo_sim._checks import FloatArray
from mimo_sim.dynamics._compile import jit
from mimo_sim.dynamics.engines.gram import (
    FROZEN,
    GRADIENT,
    PLAIN,
    count_flips,
    evaluate,
    observe,
)
from mimo_sim.dynamics.ensemble import rules
from mimo_sim.dynamics.ensemble._columns import (
    copy,
    encoder_squares,
    kernel,
    load,
    moments,
    take_step,
)
from mimo_sim.dynamics.ensemble._exp import exp
from mimo_sim.dynamics.ensemble.step import (
    FASTMATH,
    ONE_ROW,
    Advance,
    Shape,
    names,
    stacked,
    step_source,
)

# How many runs advance side by side. They fill several vectors: while one waits for a result, the
# processor works on the others.
LANES = 32


def advance(shape: Shape) -> Advance:
    """The compiled function that takes all runs of this shape a number of steps on, in place.

    For each run it also

    * raises ``peak`` to the largest :math:`|W_k|_F^2` met at the start of any of these steps,
    * sets ``bad`` to 1 if the losses met there reach the ceiling,
    * counts the ``flips`` of sigma.
    """
    if not shape.generated and shape.rule is not None:
        return rules.advance(shape)
    if not shape.generated:
        sizes = (shape.K, shape.m, shape.d, shape.r)

        def one_by_one(state: FloatArray, constants: FloatArray, steps: int) -> None:
            _advance_one_by_one(state, constants, shape.state, shape.constants, sizes, steps)

        return one_by_one
    return _lanes(shape)


@cache
def _lanes(shape: Shape) -> Advance:
    """The generated step, with runs side by side."""
    scope: dict[str, Any] = {"np": np, "exp": exp, "wide": wide, "__name__": __name__}
    scope["sqrt"] = math.sqrt
    # Compiled under the name of this file, so that the machine code is kept on disk.
    exec(compile(_lanes_source(shape), __file__, "exec"), scope)
    compiled: Advance = jit(nogil=True, fastmath=FASTMATH)(scope[_lanes_name(shape)])
    return compiled


# ------------------------ the generated step


@intrinsic
def wide(_):  # type: ignore[no-untyped-def]
    """Use vectors of 512 bits in the calling function where the processor has them.

    For some processors LLVM prefers 256 bits otherwise.
    """

    def mark(context, builder, *_):  # type: ignore[no-untyped-def]
        # llvmlite's own `add` knows only attributes without a value.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), mark


def _variables(lines: list[str]) -> tuple[set[str], set[str]]:
    """The names that occur in these lines, and the names that the lines assign to."""
    targets = [re.split(r" [-+*]?= ", line)[0] for line in lines]
    word = re.compile(r"[A-Za-z]\w*")
    return set(word.findall(" ".join(lines))), set(word.findall(" ".join(targets)))


def _lanes_name(shape: Shape) -> str:
    """A name of its own for the function of each shape, as its machine code is kept by name."""
    sizes = f"K{shape.K}_m{shape.m}_d{shape.d}_r{shape.r}"
    name = f"advance_lanes_{sizes}{'_decay' * shape.decay}{'_momentum' * shape.momentum}"
    if shape.rule is None:
        return name
    # The file of a rule is not among those that stale machine code is known by.
    text = "\n".join(line for part in step_source(shape) for line in part)
    return f"{name}_rule_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _lanes_source(shape: Shape) -> str:
    """The loops over blocks of runs, over steps, and over the lanes of a block.

    Each third of a step has a loop of its own over the lanes. Such a loop is short enough for the
    processor to work on several lanes at once. Numbers go from one loop to the next through the
    table ``s``, which has one line of :data:`LANES` numbers for each variable.
    """
    state, constants, parts = names(shape.state), names(shape.constants), step_source(shape)
    used = [_variables(part) for part in parts]
    handed_on: set[str] = set()
    for i, (_, made) in enumerate(used):
        for needed, _ in used[i + 1 :]:
            handed_on |= made & needed
    between = sorted(handed_on - {*state})
    table = [*state, *constants, *between]

    loops: list[str] = []
    for part, (needed, made) in zip(parts, used, strict=True):
        loops.append(f"            for lane in range({LANES}):")
        for row, name in enumerate(table):
            if name in needed and not (name in made and name in between):
                loops.append(f"                {name} = s[{row * LANES} + lane]")
        loops += [f"                {line}" for line in part]
        for row, name in enumerate(table):
            if name in made:
                loops.append(f"                s[{row * LANES} + lane] = {name}")
    return "\n".join(
        [
            f"def {_lanes_name(shape)}(state, constants, steps):",
            "    wide()",
            f"    s = np.empty({len(table) * LANES})",
            "    runs = state.shape[1]",
            f"    for first in range(0, runs, {LANES}):",
            f"        for lane in range({LANES}):",
            "            run = min(first + lane, runs - 1)",
            f"            for row in range({len(state)}):",
            f"                s[row * {LANES} + lane] = state[row, run]",
            f"            for row in range({len(constants)}):",
            f"                s[(row + {len(state)}) * {LANES} + lane] = constants[row, run]",
            "        for _ in range(steps):",
            *loops,
            f"        for lane in range(min({LANES}, runs - first)):",
            f"            for row in range({len(state)}):",
            f"                state[row, first + lane] = s[row * {LANES} + lane]",
        ]
    )


# ------------------------ one run after the other


@kernel
def _arrays(sizes):  # type: ignore[no-untyped-def]
    """Room for the arguments of :func:`mimo_sim.dynamics.engines.gram.evaluate`."""
    K, m, d, _ = sizes
    Z, base, S, joint, uni = moments(sizes)
    work = np.empty((4, m, K * d))
    return Z, np.empty_like(Z), work, S, joint, uni, base, np.empty(K), np.empty(K)


@kernel
def _load(state, constants, own, fixed, run, Z, base, S, joint, uni):  # type: ignore[no-untyped-def]
    """As :func:`load`; returns lam, mu and how the heads of the run are updated."""
    load(state, constants, own, fixed, run, Z, base, S, joint, uni)
    heads = FROZEN
    if constants[fixed.gradient, run] > 0:
        heads = GRADIENT
    elif constants[fixed.plain, run] > 0:
        heads = PLAIN
    return constants[fixed.lam, run], 1.0 / constants[fixed.rate, run], heads


@kernel
def _advance_one_by_one(state, constants, own, fixed, sizes, steps):  # type: ignore[no-untyped-def]
    """The same step as the generated one, for sizes that are known at run time only."""
    K = sizes[0]
    Z, dZ, work, S, joint, uni, base, excess, weight = _arrays(sizes)
    for run in range(state.shape[1]):
        lam, mu, heads = _load(state, constants, own, fixed, run, Z, base, S, joint, uni)
        running = constants[fixed.hold, run] == 0.0
        keep, keep_head = constants[fixed.keep, run], constants[fixed.keep_head, run]
        eta, ceiling = constants[fixed.eta, run], constants[fixed.ceiling, run]
        momentum, velocity = constants[fixed.momentum, run], state[own.velocity, run]
        sigma, change, peak = state[own.sigma, run], state[own.change, run], state[own.peak, run]
        for _ in range(steps):
            excess_mm, top = evaluate(
                Z, sizes, S, joint, uni, lam, mu, heads, running, base, excess, weight, work, dZ
            )
            if not (excess_mm < ceiling and top < ceiling):
                state[own.bad, run] = 1.0
            state[own.flips, run] += count_flips(K, weight, sigma, change)
            encoder_squares(Z, sizes, peak)
            take_step(Z, dZ, velocity, sizes, eta, keep, keep_head, momentum)
        copy(Z.reshape(Z.size), state[own.Z, run])
        copy(base, state[own.base, run])


# ------------------------ what a state says


class ViewRows(NamedTuple):
    """Which rows of the table of :func:`view` hold what."""

    excess_mm: int
    penalty: int
    excess: slice
    gap: slice
    weight: slice
    head: slice
    uni_head: slice
    encoder: slice
    weight_mm: slice
    weight_uni: slice
    joint_map: slice
    speed: int


@kernel
def _view(state, constants, own, fixed, sizes, rows, out):  # type: ignore[no-untyped-def]
    """Fill the columns of `out` with what the state of each run says; `rows` are those of `out`."""
    K, m, d, _ = sizes
    Z, dZ, work, S, joint, uni, base, excess, weight = _arrays(sizes)
    norms = np.empty((K, 3))
    for run in range(state.shape[1]):
        lam, mu, heads = _load(state, constants, own, fixed, run, Z, base, S, joint, uni)
        running = constants[fixed.hold, run] == 0.0
        excess_mm, top = evaluate(
            Z, sizes, S, joint, uni, lam, mu, heads, running, base, excess, weight, work, dZ
        )
        observe(Z, dZ, sizes, lam, heads, weight, norms)
        gap, joint_map = out[rows.gap, run], out[rows.joint_map, run]
        total, speed = 0.0, 0.0
        for k in range(K):
            gap[k] = excess[k] - base[k]
            total += math.exp((gap[k] - top) / mu)
            rate = 0.0
            for a in range(m):
                for i in range(k * d, k * d + d):
                    rate += work[2, a, i] ** 2 + (lam * weight[k] * work[3, a, i]) ** 2
                    joint_map[a * K * d + i] = joint[a, i] - work[0, a, i]
            speed = max(speed, rate)
        copy(excess, out[rows.excess, run])
        copy(weight, out[rows.weight, run])
        for k in range(K):
            out[rows.weight_mm.start + k, run] = 1.0
            out[rows.weight_uni.start + k, run] = lam * weight[k]
        copy(norms[:, 0], out[rows.head, run])
        copy(norms[:, 1], out[rows.uni_head, run])
        copy(norms[:, 2], out[rows.encoder, run])
        out[rows.excess_mm, run] = excess_mm
        out[rows.penalty, run] = lam * (top + mu * math.log(total)) if lam > 0.0 else 0.0
        out[rows.speed, run] = speed


def view(shape: Shape, state: FloatArray, constants: FloatArray) -> dict[str, FloatArray]:
    r"""What can be read from the state of some runs, by name.

    ``excess_mm``; ``penalty``, lam times the smoothed maximum; and ``speed``, the largest
    :math:`|R_k|^2 + (\lambda\sigma_k|Q_k|)^2` over modalities, for a rule :math:`|R_k|^2 +
    |Q_k|^2`: each (runs,).

    ``excess``, ``gap``, ``weight`` (sigma, of MIMO), ``weight_mm`` and ``weight_uni`` (of f_mm and
    f_k in the encoders), and the norms ``head``, ``uni_head``, ``encoder``: each (K, runs).
    ``joint_map`` (m K d, runs).
    """
    per_modality = dict.fromkeys(ViewRows._fields[2:10], shape.K)
    rows = ViewRows(
        **stacked(
            excess_mm=ONE_ROW,
            penalty=ONE_ROW,
            **per_modality,
            joint_map=shape.m * shape.K * shape.d,
            speed=ONE_ROW,
        )
    )
    out = np.empty((rows.speed + 1, state.shape[1]))
    sizes = (shape.K, shape.m, shape.d, shape.r)
    if shape.rule is None:
        _view(state, constants, shape.state, shape.constants, sizes, rows, out)
    else:
        rules.view(shape, state, constants, rows, out)
    return {name: out[place] for name, place in rows._asdict().items()}
