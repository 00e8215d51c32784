"""The uni-modal heads can be dropped after training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import mimo_sim as ms
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict

CLAIM = Claim(
    id="inference-needs-no-unimodal-heads",
    topic="13 Other sentences",
    says="Uni-modal heads are only needed during training; inference uses the multi-modal head alone.",
    source="[MIMO] Fig. 1b, Sec. 3.1 (summary: mechanism 3)",
    assumptions="The late-fusion toy, any heads, trained with MIMO or not.",
    how="property-based",
    recorded=Verdict.HOLDS,
)

TOLERANCE, NEEDED = 1e-10, 1e-6
STEPS, WIDTH, SAMPLES, LAM, MU = 60, 3, 8, 5.0, 0.3


def loss_of_map(
    joint_map: npt.NDArray[np.float64], x: list[npt.NDArray[np.float64]], y: npt.NDArray[np.float64]
) -> float:
    """f_mm on the samples, of the prediction by V_k W_k alone."""
    return 0.5 * float(np.mean((y - np.hstack(x) @ joint_map.T) ** 2))


def errors(rng: np.random.Generator) -> tuple[float, float, float]:
    """Of one random case: f_mm at the end from V W on the samples; f_mm at the start under other uni-modal heads; the same after training with them."""
    x = [rng.standard_normal((SAMPLES, 1)) * scale for scale in (1.5, 1.0)]
    y = sum(x) + 0.3 * rng.standard_normal((SAMPLES, 1))
    problem = ms.LateFusionProblem.from_samples(x, y)
    heads = [[0.4 * rng.standard_normal((1, WIDTH)) for _ in x] for _ in range(3)]
    encoders = [0.4 * rng.standard_normal((WIDTH, 1)) for _ in x]
    runs = [
        ms.simulate(
            problem,
            ms.MIMO(lam=LAM, mu=MU),
            step_size=5e-3,
            steps=STEPS,
            record_maps=True,
            initial=list(zip(heads[0], uni, encoders, strict=True)),
        )
        for uni in heads[1:]
    ]
    final = [float(run.loss_mm.values[-1]) for run in runs]
    told = [
        abs(loss_of_map(run.joint_map.values[-1], x, y) / loss - 1)
        for run, loss in zip(runs, final, strict=True)
    ]
    start = abs(float(runs[0].loss_mm.values[0]) - float(runs[1].loss_mm.values[0])) / float(
        runs[0].loss_mm.values[0]
    )
    return max(told), start, abs(final[0] / final[1] - 1)


def check(draws: int) -> Evidence:
    """The joint loss of a trained network follows from V W on the samples, and does not depend on U until U has trained the encoders."""
    rng = np.random.default_rng(13)
    cases = np.array([errors(rng) for _ in range(draws // 4)])
    told, start = float(cases[:, 0].max()), float(cases[:, 1].max())
    used = int((cases[:, 2] > NEEDED).sum())
    holds = max(told, start) < TOLERANCE and used > len(cases) / 2
    code = (
        "import numpy as np, mimo_sim as ms; one = np.ones((1, 1)); print([ms.simulate(ms.generators.scalar_pair(), ms.MIMO(), step_size=1e-4, "
        "steps=1, initial=[(one, u * one, one)] * 2).loss_mm.values[0] for u in (0.0, 1.0)])"
    )
    return Evidence(
        Verdict.HOLDS if holds else Verdict.REFUTED,
        f"In {len(cases)} trained networks f_mm on the samples follows from the joint head and the encoders to {told:.0e} (relative), and replacing the "
        f"uni-modal heads changes it by {start:.0e}; but training with other heads changed the result in {used} of them: they are needed there.",
        {
            "networks": len(cases),
            "f_mm from V W alone, relative": told,
            "f_mm under other U, relative": start,
            "trained differently with other U": used,
        },
        None
        if holds
        else Counterexample(
            "The scalar pair with all weights 1 and U = 0 or 1", f'python -c "{code}"'
        ),
    )
