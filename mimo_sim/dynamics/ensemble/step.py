r"""One step of many runs at once, written out for fixed sizes.

A run is one column of two tables: its *state*, which a step changes, and its *constants*. Both
tables have shape (rows, runs). :class:`StateRows` and :class:`ConstantRows` say what a row holds.

For small problems :func:`step_source` writes the step as lines of Python on single numbers. The CPU
loop compiles these lines so that one vector instruction serves several runs, and the CUDA kernel
compiles the same lines with one thread per run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from mimo_sim._checks import FloatArray
from mimo_sim.dynamics.records import FLIP_SIZE
from mimo_sim.rules._base import Structure, lines

# (state, constants, steps): takes all runs so many steps on; changes the state in place.
Advance: TypeAlias = Callable[[FloatArray, FloatArray, int], object]

# The step is written out while K * (2m + d) * r and m * (K d)**2 are at most this. Larger steps
# would take tens of seconds to compile.
GENERATED_SIZE = 40

FASTMATH = {"contract", "nsz"}


class StateRows(NamedTuple):
    """Which rows of the state hold what."""

    Z: slice  # the factors Z_k, (K, 2m + d, r) in one piece
    velocity: slice  # with momentum only: the last step of every entry of Z
    base: slice  # (K,) estimates of f_k* in use, minus f_k*
    sigma: slice  # (K,) weights sigma_k of the step before
    change: slice  # (K,) last change of sigma_k
    flips: int  # how often sigma has flipped
    peak: slice  # (K,) largest |W_k|_F^2 met
    bad: int  # 1 once the losses have reached the ceiling, else 0

    @property
    def height(self) -> int:
        """Rows of the whole table."""
        return self.bad + 1


class ConstantRows(NamedTuple):
    """Which rows of the constants hold what."""

    S: slice  # second moments of the inputs, (K d, K d) in one piece
    joint: slice  # the best joint map, (m, K d) in one piece
    uni: slice  # the best uni-modal maps side by side, (m, K d) in one piece
    rule: slice  # of rules only: f_mm*, the loss of the zero network, f_k* (K,), parameters
    lam: int
    rate: int  # 1 / mu
    gradient: int  # 1 for heads="gradient", else 0
    plain: int  # the step size for heads="plain", else 0
    hold: int  # 0 where the estimate of f* follows the losses, else infinity
    keep: int  # 1 minus step size times weight decay
    keep_head: int  # the same for uni-modal heads: 1 where they are frozen
    eta: int  # step size
    momentum: int  # of heavy-ball momentum
    ceiling: int  # losses from here on count as divergence

    @property
    def height(self) -> int:
        """Rows of the whole table."""
        return self.ceiling + 1


ONE_ROW = -1


def stacked(**sizes: int) -> dict[str, Any]:
    """Places in a table for parts that stand one below the other.

    For each name: a slice of so many rows, or the number of the row where the size is `ONE_ROW`.
    """
    rows: dict[str, Any] = {}
    first = 0
    for name, size in sizes.items():
        rows[name] = first if size == ONE_ROW else slice(first, first + size)
        first += 1 if size == ONE_ROW else size
    return rows


@dataclass(frozen=True)
class Shape:
    """The sizes of a run (K modalities, m outputs, d features each, factors of r columns), and what
    else its step depends on."""

    K: int
    m: int
    d: int
    r: int
    decay: bool  # is there weight decay?
    rule: Structure | None = None  # None: Vanilla or MIMO
    momentum: bool = False  # is there momentum?

    @property
    def n(self) -> int:
        """Rows of a factor Z_k = [V_k; U_k; W_k^T]."""
        return 2 * self.m + self.d

    @property
    def generated(self) -> bool:
        """Is the step written out for these sizes?"""
        return max(self.K * self.n * self.r, self.m * (self.K * self.d) ** 2) <= GENERATED_SIZE

    @cached_property
    def state(self) -> StateRows:
        """Rows of the state."""
        return StateRows(
            **stacked(
                Z=self.K * self.n * self.r,
                velocity=self.K * self.n * self.r if self.momentum else 0,
                base=self.K,
                sigma=self.K,
                change=self.K,
                flips=ONE_ROW,
                peak=self.K,
                bad=ONE_ROW,
            )
        )

    @cached_property
    def constants(self) -> ConstantRows:
        """Rows of the constants."""
        features = self.K * self.d
        single = dict.fromkeys(ConstantRows._fields[4:], ONE_ROW)
        extra = 0 if self.rule is None else 2 + self.K + self.rule.num_parameters
        sizes = {"S": features**2, "joint": self.m * features, "uni": self.m * features}
        return ConstantRows(**stacked(**sizes, rule=extra, **single))


def names(rows: StateRows | ConstantRows) -> list[str]:
    """The variable of :func:`step_source` for every row, such as ``Z4``, ``S0`` or ``lam``."""
    found = []
    for name, place in rows._asdict().items():
        if isinstance(place, slice):
            found += [f"{name}{i}" for i in range(place.stop - place.start)]
        else:
            found.append(name)
    return found


# ------------------------ the step, written out


def step_source(shape: Shape) -> tuple[list[str], list[str], list[str]]:
    """One step of one run as lines of Python: the losses, then the weights, then the update.

    The variables are those of :func:`names`; an entry of a matrix E is called ``E{row}_{column}``.
    """
    start = _residuals(shape)
    if shape.rule is None:
        return start + _gaps(shape), _weights(shape), _update(shape)
    program, reads = lines(shape.rule, shape.K)
    return start + _seen(shape, reads), _given(shape, reads) + list(program), _update(shape)


def _sum(terms: list[str]) -> str:
    return " + ".join(terms)


def _entry(shape: Shape, k: int, row: int, column: int) -> str:
    """The variable of one entry of Z_k. Its rows are V_k, U_k and W_k^T, one below the other."""
    return f"Z{(k * shape.n + row) * shape.r + column}"


def _residuals(shape: Shape) -> list[str]:
    K, m, d = shape.K, shape.m, shape.d
    D, modalities, outputs, features, columns = K * d, range(K), range(m), range(d), range(shape.r)

    def product(k: int, row: int, i: int) -> str:
        """Row `row` of Z_k, which belongs to a head, times column `i` of W_k."""
        return _sum(
            [f"{_entry(shape, k, row, j)} * {_entry(shape, k, 2 * m + i, j)}" for j in columns]
        )

    lines = []
    for k in modalities:
        for a in outputs:
            for i in features:
                at = k * d + i
                lines += [
                    f"E{a}_{at} = joint{a * D + at} - ({product(k, a, i)})",
                    f"D{a}_{at} = uni{a * D + at} - ({product(k, m + a, i)})",
                ]
    for a in outputs:
        for i in range(D):
            own = range(i // d * d, i // d * d + d)
            lines += [
                f"R{a}_{i} = {_sum([f'S{i * D + j} * E{a}_{j}' for j in range(D)])}",
                f"Q{a}_{i} = {_sum([f'S{i * D + j} * D{a}_{j}' for j in own])}",
            ]
    terms = [f"R{a}_{i} * E{a}_{i}" for a in outputs for i in range(D)]
    lines.append(f"excess_mm = 0.5 * ({_sum(terms)})")
    return lines


def _gaps(shape: Shape) -> list[str]:
    """The gaps, for Vanilla and MIMO."""
    lines = []
    for k in range(shape.K):
        lines += [
            f"excess{k} = {_excess(shape, k)}",
            f"base{k} = min(base{k}, excess{k} + hold)",
            f"gap{k} = excess{k} - base{k}",
            _peak(shape, k),
        ]
    return lines + _ceiling("gap", shape.K)


def _excess(shape: Shape, k: int) -> str:
    here = range(k * shape.d, k * shape.d + shape.d)
    return f"0.5 * ({_sum([f'Q{a}_{i} * D{a}_{i}' for a in range(shape.m) for i in here])})"


def _peak(shape: Shape, k: int) -> str:
    entries = [(2 * shape.m + i, j) for i in range(shape.d) for j in range(shape.r)]
    encoder = [_entry(shape, k, row, column) for row, column in entries]
    return f"peak{k} = max(peak{k}, {_sum([f'{w} * {w}' for w in encoder])})"


def _ceiling(gap: str, K: int) -> list[str]:
    """Whether the losses are too large; `gap` is the name of what is left of the f_k."""
    return [
        f"top = {gap}0",
        *(f"top = max(top, {gap}{k})" for k in range(1, K)),
        "bad = bad if excess_mm < ceiling and top < ceiling else 1.0",
    ]


def _seen(shape: Shape, reads: frozenset[str]) -> list[str]:
    """What a rule sees: losses and inner products of gradients. Only what it reads is computed."""
    m, d = shape.m, shape.d
    outputs, features, columns = range(m), range(d), range(shape.r)
    found = ["seen_excess_mm = excess_mm"] if "seen_excess_mm" in reads else []
    for k in range(shape.K):
        at = k * d
        found += [f"seen_excess{k} = {_excess(shape, k)}", _peak(shape, k)]
        w = [[_entry(shape, k, 2 * m + i, j) for j in columns] for i in features]
        head = {
            "R": [[_entry(shape, k, a, j) for j in columns] for a in outputs],
            "Q": [[_entry(shape, k, m + a, j) for j in columns] for a in outputs],
        }
        # Directions: those of heads (a, j) and those of the encoder (i, j).
        of_head = {
            X: [
                _sum([f"{X}{a}_{at + i} * {w[i][j]}" for i in features])
                for a in outputs
                for j in columns
            ]
            for X in "RQ"
        }
        of_encoder = {
            X: [
                _sum([f"{X}{a}_{at + i} * {head[X][a][j]}" for a in outputs])
                for i in features
                for j in columns
            ]
            for X in "RQ"
        }
        products = {
            "joint_head": (of_head["R"], of_head["R"]),
            "own_head": (of_head["Q"], of_head["Q"]),
            "joint": (of_encoder["R"], of_encoder["R"]),
            "own": (of_encoder["Q"], of_encoder["Q"]),
            "cross": (of_encoder["R"], of_encoder["Q"]),
        }
        for name, (one, other) in products.items():
            if f"seen_{name}{k}" in reads:
                terms = [f"({x}) * ({y})" for x, y in zip(one, other, strict=True)]
                found.append(f"seen_{name}{k} = {_sum(terms)}")
        if f"seen_explained{k}" in reads:
            terms = []
            for a in outputs:
                for i in features:
                    map_entry = _sum([f"{head['Q'][a][j]} * {w[i][j]}" for j in columns])
                    row, first = (at + i) * shape.K * d + at, a * shape.K * d + at
                    target = _sum([f"S{row + j} * uni{first + j}" for j in features])
                    terms.append(f"({target} + Q{a}_{at + i}) * ({map_entry})")
            found.append(f"seen_explained{k} = 0.5 * ({_sum(terms)})")
    return found + _ceiling("seen_excess", shape.K)


def _given(shape: Shape, reads: frozenset[str]) -> list[str]:
    """What a rule reads of the constants, by the names that it uses."""
    given = ["seen_optimum_mm", "seen_start", *(f"seen_optimum{k}" for k in range(shape.K))]
    given += [f"parameter{i}" for i in range(shape.rule.num_parameters if shape.rule else 0)]
    return [f"{name} = rule{i}" for i, name in enumerate(given) if name in reads]


def _weights(shape: Shape) -> list[str]:
    modalities = range(shape.K)
    if shape.K == 2:  # one exponential instead of two
        lines = [
            "lead = (gap1 - gap0) * rate",
            "small = exp(-abs(lead))",
            "large = 1.0 / (1.0 + small)",
            "small *= large",
            "weight0 = small if lead > 0.0 else large",
            "weight1 = large if lead > 0.0 else small",
        ]
    else:
        lines = [f"weight{k} = exp((gap{k} - top) * rate)" for k in modalities]
        lines.append(f"total = 1.0 / ({_sum([f'weight{k}' for k in modalities])})")
        lines += [f"weight{k} *= total" for k in modalities]
    for k in modalities:
        turned = f"swing * change{k} < 0.0 and min(abs(swing), abs(change{k})) > {FLIP_SIZE}"
        lines += [
            f"swing = weight{k} - sigma{k}",
            f"turned = {turned}",
            "flips += 1.0 if turned else 0.0",
            f"change{k} = swing",
            f"sigma{k} = weight{k}",
        ]
    return lines


def _update(shape: Shape) -> list[str]:
    m, d = shape.m, shape.d
    outputs, features = range(m), range(d)
    same = shape.rule is None  # f_mm has one weight in heads and encoders, 1
    joint_in_encoder = "x" if same else "z"
    lines = []
    for k in range(shape.K):
        if same:
            lines += [f"own = eta * lam * sigma{k}", "head = own * gradient + plain"]
        else:
            lines += [
                "lead = eta * weight_joint_head",
                f"along = eta * weight_joint{k}",
                f"own = eta * weight_uni{k}",
                f"head = eta * weight_uni_head{k}",
            ]
        for a in outputs:
            for i in range(k * d, k * d + d):
                lines += [
                    f"x{a}_{i} = {'eta' if same else 'lead'} * R{a}_{i}",
                    f"y{a}_{i} = own * Q{a}_{i}",
                    f"h{a}_{i} = head * Q{a}_{i}",
                ]
                lines += [] if same else [f"z{a}_{i} = along * R{a}_{i}"]
        for j in range(shape.r):
            v = [_entry(shape, k, a, j) for a in outputs]
            u = [_entry(shape, k, m + a, j) for a in outputs]
            w = [_entry(shape, k, 2 * m + i, j) for i in features]
            changes = {}
            for a in outputs:
                joint = [f"x{a}_{k * d + i} * {w[i]}" for i in features]
                alone = [f"h{a}_{k * d + i} * {w[i]}" for i in features]
                changes[v[a]], changes[u[a]] = _sum(joint), _sum(alone)
            for i in features:
                at = k * d + i
                terms = [
                    f"{joint_in_encoder}{a}_{at} * {v[a]} + y{a}_{at} * {u[a]}" for a in outputs
                ]
                changes[w[i]] = _sum(terms)
            lines += _moved(shape, changes, dict.fromkeys(u, "keep_head"))
    return lines


def _moved(shape: Shape, changes: dict[str, str], keep: dict[str, str]) -> list[str]:
    """Add `changes` to entries of Z, which are decayed by ``keep``, or by what `keep` says."""
    new = {}
    for entry, change in changes.items():
        kept = keep.get(entry, "keep")
        if shape.momentum:
            lost = f" - (1.0 - {kept}) * {entry}" if shape.decay else ""
            speed = f"velocity{entry[1:]}"
            new[speed] = f"momentum * {speed} + ({change}){lost}"
        else:
            new[entry] = f"{f'{kept} * ' if shape.decay else ''}{entry} + {change}"
    lines = [f"{', '.join(new)} = {', '.join(new.values())}"]
    if shape.momentum:
        lines += [f"{entry} += velocity{entry[1:]}" for entry in changes]
    return lines
