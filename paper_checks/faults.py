"""Teeth: faults planted in the package one at a time, and which claims notice.

`python -m paper_checks.faults` runs every fault against every claim it names (with --all against all claims) and prints who noticed.
A claim notices when its verdict differs from the recorded one or its runs diverge.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
from array_api_compat import array_namespace

import mimo_sim as ms
from mimo_sim import objective, problem, solvers, theory
from mimo_sim.dynamics.engines import gram
from mimo_sim.theory import joint, preference
from paper_checks.caches import clear_caches
from paper_checks.runner import discover, run_claim

Patch = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Fault:
    """Something wrong with the package.

    Attributes
    ----------
    id : str
        Short name.
    what : str
        The fault in words.
    caught_by : tuple of str
        Claims whose checks notice, fastest first.
    plant : callable
        Context manager within which the fault is in place.
    """

    id: str
    what: str
    caught_by: tuple[str, ...]
    plant: Patch


def _replaced(module: Any, name: str, wrong: Callable[[Any], Any]) -> Patch:
    """The attribute replaced by ``wrong(original)``."""
    return lambda: mock.patch.object(module, name, wrong(getattr(module, name)))


def _together(*patches: Patch) -> Patch:
    @contextmanager
    def planted() -> Iterator[None]:
        with ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch())
            yield

    return planted


def _engine(alter: Callable[[gram.Packed], None]) -> Patch:
    """The compiled engine fed with altered constants."""

    def wrong(original: Callable[..., None]) -> Callable[..., None]:
        def init(self: gram.Packed, *args: Any) -> None:
            original(self, *args)
            alter(self)

        return init

    return _replaced(gram.Packed, "__init__", wrong)


def _set(**fields: Callable[[gram.Packed], Any]) -> Patch:
    def alter(packed: gram.Packed) -> None:
        for name, value in fields.items():
            setattr(packed, name, value(packed))

    return _engine(alter)


def _without_one_cross_term(packed: gram.Packed) -> Any:
    cut = packed.S.copy()
    d = len(cut) // packed.Z.shape[0]
    cut[:d, d:] = 0.0  # modality 0 no longer sees what the others predict
    return cut


def _through_sigma(original: Callable[..., Any]) -> Callable[..., Any]:
    del original
    return lambda loss_mm, gaps, lam, mu: (
        loss_mm + lam * (objective.sigma_weights(gaps, mu) * gaps).sum()
    )


def _naive(original: Callable[..., Any]) -> Callable[..., Any]:
    del original

    def softmax(gaps: Any, mu: float) -> Any:
        gaps = objective.as_array(gaps)
        xp = array_namespace(gaps)
        with np.errstate(all="ignore"):
            weights = xp.exp(gaps / mu)
            return weights / xp.sum(weights, axis=-1, keepdims=True)

    return softmax


def _unsigned(gain: float, old: Any, new: Any, exact_limit: bool) -> float:
    del old, new, exact_limit
    return gain


def _optima_of_a_tenth_more(original: Any) -> property:
    return property(lambda self: 1.1 * original.func(self))


FAULTS = [
    Fault(
        "sigma-wrong-sign",
        "sigma is the softmax of minus the gaps",
        ("smoothed-maximum-gradient", "worst-modality-takes-all"),
        _replaced(
            objective, "sigma_weights", lambda f: lambda g, mu: f(-objective.as_array(g), mu)
        ),
    ),
    Fault(
        "sigma-not-normalised",
        "sigma does not sum to one",
        ("smoothed-maximum-gradient", "equal-gaps-weigh-equally"),
        _replaced(objective, "sigma_weights", lambda f: lambda g, mu: 2 * f(g, mu)),
    ),
    Fault(
        "naive-softmax",
        "sigma without the maximum subtracted",
        ("naive-softmax-overflow", "worst-modality-takes-all"),
        _replaced(objective, "sigma_weights", _naive),
    ),
    Fault(
        "minimum-instead-of-maximum",
        "the smoothed maximum is a smoothed minimum",
        ("smoothed-maximum-bounds", "smoothed-maximum-gradient"),
        _replaced(
            objective, "smoothed_maximum", lambda f: lambda g, mu: -f(-objective.as_array(g), mu)
        ),
    ),
    Fault(
        "mean-inside-the-log",
        "mu log mean exp instead of mu log sum exp",
        ("smoothed-maximum-bounds",),
        _replaced(
            objective, "smoothed_maximum", lambda f: lambda g, mu: f(g, mu) - mu * np.log(len(g))
        ),
    ),
    Fault(
        "smoothed-maximum-mu-ten-times",
        "the smoothed maximum uses 10 mu",
        ("smoothed-maximum-bounds", "smoothed-maximum-gradient"),
        _replaced(objective, "smoothed_maximum", lambda f: lambda g, mu: f(g, 10 * mu)),
    ),
    Fault(
        "objective-drops-lam",
        "the objective forgets lam",
        ("smoothed-maximum-gradient",),
        _replaced(
            objective, "mimo_objective", lambda f: lambda loss, g, lam, mu: f(loss, g, 1.0, mu)
        ),
    ),
    Fault(
        "gradient-through-sigma",
        "sigma is not detached from the graph",
        ("smoothed-maximum-gradient",),
        _replaced(objective, "mimo_objective", _through_sigma),
    ),
    Fault(
        "running-maximum",
        "the running minimum keeps the largest loss",
        ("running-minimum-underestimates",),
        _replaced(
            objective,
            "running_minimum",
            lambda f: lambda a, b: -f(-objective.as_array(a), -objective.as_array(b)),
        ),
    ),
    Fault(
        "engine-sigma-wrong-sign",
        "the engine weighs the best modality most",
        ("theorem1-rate", "growth-law"),
        _set(mu=lambda packed: -packed.mu),
    ),
    Fault(
        "engine-drops-lam",
        "the engine forgets lam",
        ("theorem1-rate", "growth-law"),
        _set(lam=lambda packed: min(packed.lam, 1.0)),
    ),
    Fault(
        "engine-mu-ten-times",
        "the engine uses 10 mu",
        ("theorem1-rate", "growth-law"),
        _set(mu=lambda packed: 10 * packed.mu),
    ),
    Fault(
        "engine-f-star-off",
        "the engine's estimate of f_1* is too low by a tenth",
        ("growth-law", "worst-modality-takes-all"),
        _set(base=lambda packed: packed.base - 0.1 * (np.arange(len(packed.base)) == 0)),
    ),
    Fault(
        "engine-misses-a-cross-term",
        "the joint residual of modality 1 misses what the others predict",
        ("theorem1-rate", "misattribution"),
        _set(S=_without_one_cross_term),
    ),
    Fault(
        "engine-heads-not-moved",
        "the uni-modal heads stay where they start",
        ("growth-law", "final-norms"),
        _set(heads=lambda packed: 0),
    ),
    Fault(
        "engine-plain-heads",
        "the uni-modal heads move without lam sigma",
        ("growth-law", "conserved-quantity"),
        _set(heads=lambda packed: 2 if packed.heads == 1 else packed.heads),
    ),
    Fault(
        "engine-joint-target-off",
        "the joint residual is measured from a target 2% too large",
        ("misattribution", "final-norms"),
        _set(joint=lambda packed: 1.02 * packed.joint),
    ),
    Fault(
        "engine-uni-target-off",
        "the uni-modal residuals are measured from targets 5% too large",
        ("growth-law", "final-norms"),
        _set(uni=lambda packed: 1.05 * packed.uni),
    ),
    Fault(
        "step-beyond-smoothness",
        "the default step is 60 times too large",
        ("theorem1-rate",),
        _replaced(theory, "default_step_size", lambda f: lambda *a, **k: 60 * f(*a, **k)),
    ),
    Fault(
        "smoothness-ignores-mu",
        "the smoothness constant ignores 1/mu and lam",
        ("smoothness-constant",),
        _replaced(theory, "smoothness", lambda f: lambda p, m, **k: f(p, solvers.Vanilla(), **k)),
    ),
    Fault(
        "time-ratio-inverted",
        "the time ratio is first over second",
        ("time-ratio-sign-condition",),
        _replaced(theory, "time_ratio", lambda f: lambda *a, **k: 1 / f(*a, **k)),
    ),
    Fault(
        "time-ratio-unsigned",
        "learning times ignore that a mode may have shrunk",
        ("time-ratio-sign-condition",),
        _replaced(joint, "turned", lambda f: _unsigned),
    ),
    Fault(
        "final-norm-not-rooted",
        "the final norms are squared norms",
        ("final-norms",),
        _replaced(theory, "final_encoder_norms", lambda f: lambda *a: f(*a) ** 2),
    ),
    Fault(
        "final-norm-of-vanilla",
        "MIMO's final norms leave the uni-modal head out",
        ("final-norms",),
        _replaced(theory, "final_encoder_norms", lambda f: lambda p, m: f(p, solvers.Vanilla())),
    ),
    Fault(
        "growth-rate-linear",
        "growth rates use 1 + lam sigma instead of the root of 1 + (lam sigma)^2",
        ("growth-law",),
        _replaced(
            theory,
            "growth_rates",
            lambda f: (
                lambda p, lam, mu, **k: (
                    f(p, lam, mu, **k) ** 2 / np.maximum(theory.correlations(p), 1e-300)
                )
            ),
        ),
    ),
    Fault(
        "order-threshold-without-one",
        "lam* is |C_A| / |C_B|",
        ("order-threshold",),
        _replaced(
            theory, "order_threshold", lambda f: lambda *a, **k: float(np.hypot(f(*a, **k), 1.0))
        ),
    ),
    Fault(
        "misattribution-sign",
        "misattribution has the wrong sign",
        ("misattribution",),
        _replaced(theory, "misattribution", lambda f: lambda p: -f(p)),
    ),
    Fault(
        "preference-reversed",
        "the preference conditions name the modalities the other way round",
        ("wrong-f-star-shifts-the-balance",),
        _replaced(preference, "correlations", lambda f: lambda p: f(p)[::-1]),
    ),
    Fault(
        "conserved-quantity-forgets-u",
        "the conserved quantity leaves the uni-modal heads out",
        ("conserved-quantity",),
        _replaced(
            theory, "conserved_quantity", lambda f: lambda run: f(run) + run.uni_head_norm**2
        ),
    ),
    Fault(
        "half-time-at-a-tenth",
        "half-times are read at a tenth of the final squared norm",
        ("wrong-f-star-shifts-the-balance",),
        _replaced(
            ms,
            "half_times",
            lambda f: (
                lambda run: f(
                    run.assign(
                        encoder_norm=run.encoder_norm.where(
                            run.encoder_norm**2 < 0.1 * run.encoder_norm[-1] ** 2,
                            run.encoder_norm[-1],
                        )
                    )
                )
            ),
        ),
    ),
    Fault(
        "optima-off",
        "the uni-modal optima are a tenth too large",
        ("growth-law", "gradient-decomposition"),
        _replaced(problem.LateFusionProblem, "unimodal_optima", _optima_of_a_tenth_more),
    ),
]


def noticed(fault: Fault, claims: tuple[str, ...], draws: int) -> list[str]:
    """Which of these claims notice the fault."""
    modules, found = discover(), []
    for name in claims:
        clear_caches()
        try:
            with fault.plant(), np.errstate(all="ignore"):
                if not run_claim(modules[name], draws).as_recorded:
                    found.append(name)
        except (
            ms.DivergenceError
        ):  # a way to notice; any other error is a defect of the fault or the check
            found.append(name)
        finally:
            clear_caches()
    return found


def main() -> None:
    """Print, fault by fault, which claims notice."""
    parser = argparse.ArgumentParser(prog="python -m paper_checks.faults", description=__doc__)
    parser.add_argument(
        "--all", action="store_true", help="run every claim, not only those that a fault names"
    )
    parser.add_argument("--draws", type=int, default=50)
    arguments = parser.parse_args()
    for fault in FAULTS:
        found = noticed(
            fault, tuple(discover()) if arguments.all else fault.caught_by, arguments.draws
        )
        print(
            f"{fault.id}: {fault.what}\n    noticed by {', '.join(found) or 'NOBODY'}", flush=True
        )


if __name__ == "__main__":
    main()
