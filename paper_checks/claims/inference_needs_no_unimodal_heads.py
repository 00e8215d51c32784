"""The uni-modal heads can be dropped after training."""

from __future__ import annotations

import numpy as np

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict
from paper_checks.network import Array

CLAIM = Claim(
    id="inference-needs-no-unimodal-heads",
    topic="13 Other sentences",
    says="Uni-modal heads are needed during training only; inference uses the multi-modal head "
    "alone.",
    source="[MIMO] Fig. 1b, Sec. 3.1 (summary: mechanism 3)",
    assumptions="The late-fusion toy with any heads, trained with MIMO or not.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

TOLERANCE, NEEDED = 1e-10, 1e-6
STEPS, WIDTH, SAMPLES, LAM, MU = 60, 3, 8, 5.0, 0.3


def loss_of_map(joint_map: Array, x: list[Array], y: Array) -> float:
    """f_mm on the samples, when V_k W_k alone predict."""
    return 0.5 * float(np.mean((y - np.hstack(x) @ joint_map.T) ** 2))


def errors(rng: np.random.Generator) -> tuple[float, float, float]:
    """Three relative differences of f_mm in one random case.

    The difference at the end from the loss of V W on the samples; at the start when the uni-modal
    heads are replaced; and at the end after training with other uni-modal heads.
    """
    x = [rng.standard_normal((SAMPLES, 1)) * scale for scale in (1.5, 1.0)]
    y = sum(x) + 0.3 * rng.standard_normal((SAMPLES, 1))
    problem = ms.LateFusionProblem.from_samples(x, y)
    joint, *both = [[0.4 * rng.standard_normal((1, WIDTH)) for _ in x] for _ in range(3)]
    encoders = [0.4 * rng.standard_normal((WIDTH, 1)) for _ in x]
    first, second = (
        ms.simulate(
            problem,
            ms.MIMO(lam=LAM, mu=MU),
            step_size=5e-3,
            steps=STEPS,
            record_maps=True,
            initial=list(zip(joint, uni, encoders, strict=True)),
        )
        for uni in both
    )
    told = []
    for run in (first, second):
        alone = loss_of_map(run.joint_map.values[-1], x, y)
        told.append(abs(alone / float(run.loss_mm.values[-1]) - 1))
    before, other = float(first.loss_mm.values[0]), float(second.loss_mm.values[0])
    after, other_after = float(first.loss_mm.values[-1]), float(second.loss_mm.values[-1])
    return max(told), abs(before - other) / before, abs(after / other_after - 1)


def check(draws: int) -> Evidence:
    """f_mm must follow from V and W alone, and must not depend on U before U has trained W."""
    rng = np.random.default_rng(13)
    cases = np.array([errors(rng) for _ in range(draws // 4)])
    told, start = float(cases[:, 0].max()), float(cases[:, 1].max())
    used = int((cases[:, 2] > NEEDED).sum())
    holds = max(told, start) < TOLERANCE and used > len(cases) / 2
    example = Counterexample.shown_by(
        "The scalar pair with all weights 1 and U = 0 or 1",
        "import numpy as np, mimo_sim as ms",
        "one = np.ones((1, 1))",
        "print([ms.simulate(ms.generators.scalar_pair(), ms.MIMO(), step_size=1e-4, steps=1, "
        "initial=[(one, u * one, one)] * 2).loss_mm.values[0] for u in (0.0, 1.0)])",
    )
    return Evidence(
        verdict=Verdict.HOLDS if holds else Verdict.REFUTED,
        words=f"In {len(cases)} trained networks f_mm on the samples follows from the joint head "
        f"and the encoders to {told:.0e} (relative), and other uni-modal heads change it by "
        f"{start:.0e}. But training with other uni-modal heads gave another result in {used} of "
        "them: for training they are needed.",
        numbers={
            "networks": len(cases),
            "f_mm from V W alone, relative": told,
            "f_mm under other U, relative": start,
            "trained differently with other U": used,
        },
        counterexample=None if holds else example,
    )
