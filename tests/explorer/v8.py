"""The explorer's JavaScript in V8, without a browser, and what its settings mean in Python."""

from __future__ import annotations

import atexit
import json
import math
from functools import cache
from typing import Any

import numpy as np
from py_mini_racer import MiniRacer

import mimo_sim as ms
from mimo_sim.explorer._page import script
from mimo_sim.solvers import Solver

RULES = ("exact", "zero", "running_minimum", "constant")
FIGURE_1: dict[str, Any] = {
    "contrast": 2.25,
    "explained": 16 / 9,
    "rho": 0.0,
    "lam": 10.0,
    "mu": 0.01,
    "eta": 9.7e-4,
    "steps": 30_000,
    "scale": 1e-9,
    "rule": "exact",
    "fA": 0.5,
    "fB": 0.5,
    "heads": "gradient",
    "axis": "same",
}
HELPERS = """
// NaN and infinity as JSON can hold them
function plain(value) {
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (ArrayBuffer.isView(value)) return Array.from(value, plain);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
}
function trained(settings, every) {
  const solver = settings.vanilla ? { ...VANILLA, heads: settings.heads } : mimoOf(settings);
  return simulate(makeProblem(settings), solver, settings, every);
}
function bothRuns(settings) {
  const problem = makeProblem(settings);
  return [VANILLA, mimoOf(settings)].map((solver) => simulate(problem, solver, settings));
}
"""


def evaluate(code: str) -> str:
    """The text that this JavaScript gives."""
    return str(context().eval(code))


@cache
def context() -> MiniRacer:
    engine = MiniRacer()
    atexit.register(engine.close)  # left open, it can block the end of the process for ever
    engine.eval(script("model", "theory", "settings", "words", "charts"))
    engine.eval(HELPERS)
    return engine


def call(function: str, *arguments: Any) -> Any:
    """The value of one of the page's functions."""
    given = ", ".join(json.dumps(each) for each in arguments)
    return json.loads(evaluate(f"JSON.stringify(plain({function}({given})) ?? null)"))


def numbers(values: Any) -> np.ndarray:
    """An array of what `call` gave, also of the strings for NaN and infinity."""
    return np.array(values, dtype=float)


def problem(settings: dict[str, Any]) -> ms.LateFusionProblem:
    """The problem of these settings, from their definition rather than from the page."""
    contrast, explained, rho = (settings[name] for name in ("contrast", "explained", "rho"))
    spread = np.array([contrast * math.sqrt(explained), 1.0])
    moment = np.outer(spread, spread) * [[1.0, rho], [rho, 1.0]]
    cross = np.array([contrast, 1.0])
    cross *= math.sqrt(2 / (cross @ np.linalg.solve(moment, cross)))  # no noise: E[y^2] = 2
    return ms.LateFusionProblem(moment.tolist(), cross.tolist(), 2.0, names=("A", "B"))


def solver(settings: dict[str, Any]) -> Solver:
    if settings.get("vanilla"):
        return ms.Vanilla(heads=settings["heads"])
    rule = settings["rule"]
    return ms.MIMO(
        lam=settings["lam"],
        mu=settings["mu"],
        f_star=(settings["fA"], settings["fB"]) if rule == "constant" else rule,
        heads=settings["heads"],
    )


def random_settings(count: int, seed: int) -> list[dict[str, Any]]:
    """Settings from all over the sliders: all rules, both updates of the heads; a third joint."""
    rng = np.random.default_rng(seed)

    def ratio(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(math.log(low), math.log(high))))

    made = []
    for i in range(count):
        vanilla = i % 3 == 0
        made.append(
            FIGURE_1
            | {
                "contrast": ratio(0.2, 5),
                "explained": ratio(0.2, 5),
                "rho": float(rng.uniform(-0.95, 0.95)),
                "lam": ratio(0.01, 1000),
                "mu": ratio(1e-3, 1),
                "scale": ratio(1e-12, 0.3),
                "rule": RULES[i // 2 % 4],
                "fA": float(rng.uniform(0, 1)),
                "fB": float(rng.uniform(0, 1)),
                "heads": ("frozen" if vanilla else "gradient", "plain")[i % 2],
                "vanilla": vanilla,
            }
        )
    return made
