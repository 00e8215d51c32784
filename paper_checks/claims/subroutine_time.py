"""MIMO's sub-routine takes about as long as joint training's."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import torch

from paper_checks import timing
from paper_checks.claim import Claim, Counterexample, Evidence, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLAIM = Claim(
    id="subroutine-time",
    topic="12 Timing",
    says="From the losses to the gradients MIMO takes about as long as joint training, and clearly less than MGDA, PCGrad or MMPareto.",
    source="[MIMO] Sec. 4, Table 1 (sub-routine times on CREMA-D); Figure 1b",
    assumptions=f"Two MLP encoders ({timing.INPUT}-{timing.HIDDEN}-{timing.HIDDEN}-{timing.FEATURES}), batch {timing.BATCH}, "
    "processor time of one thread; sub-routine = "
    "everything between losses and parameter gradients.",
    how="timing",
    recorded=Verdict.HOLDS,
)

PUBLISHED = {"MIMO": 0.037, "vanilla": 0.038, "MMPareto": 0.309}  # seconds, CREMA-D [MIMO, Table 1]
RIVALS = ("MGDA", "PCGrad", "MMPareto")
FEWER = 0.75  # MIMO over each rival, upper end
ATTEMPTS = 3
SAME = 1e-4  # relative, float32


def gradient_error() -> float:
    """MIMO's one backward pass against the weighted sum of K + 1 separate ones, weights by a plain softmax; relative."""
    network = timing.Network()
    joint, uni = network()
    one_pass = timing.mimo(network, joint, uni)
    joint, uni = network()
    whole, own = timing.separate(network, joint, uni)
    weights = torch.softmax(torch.stack(uni).detach() / timing.MU, dim=0)
    errors = [
        float((a - (u + timing.LAM * w * g)).norm() / a.norm())
        for a, u, g, w in zip(one_pass, whole, own, weights, strict=True)
    ]
    return max(errors)


def check(draws: int) -> Evidence:
    """Ratios of lower quartiles over interleaved rounds, with 95% bootstrap intervals. Noise only adds, so a
    doubtful measurement is repeated with more rounds."""
    error = gradient_error()
    for attempt in range(ATTEMPTS):
        rounds = max(draws // 6, 20) * 2**attempt
        times = timing.measure(rounds)
        ratios = {name: times.ratio(name) for name in timing.METHODS if name != "vanilla"}
        against = {name: times.ratio("MIMO", name) for name in RIVALS}
        near = (
            1 + min(ratios[name][0] for name in RIVALS)
        ) / 2  # half-way from joint training to the cheapest rival
        holds = (
            error < SAME
            and ratios["MIMO"][2] < near
            and all(high < FEWER for _, _, high in against.values())
        )
        if holds or error >= SAME:
            break
    base, extra = timing.multiply_adds()
    numbers = {
        "rounds": rounds,
        "median milliseconds": {
            name: 1e3 * float(np.median(values)) for name, values in times.seconds.items()
        },
        "over vanilla, with 95% interval": ratios,
        "MIMO over each, with 95% interval": against,
        "bound on MIMO over vanilla": near,
        "expected MIMO over vanilla by multiply-adds": 1 + extra / base,
        "published seconds": PUBLISHED,
        "published over vanilla": {
            name: PUBLISHED[name] / PUBLISHED["vanilla"] for name in ("MIMO", "MMPareto")
        },
        "one pass against separate passes, relative": error,
    }
    mimo, rule = ratios["MIMO"], ratios["MMPareto"][0]
    words = (
        f"MIMO takes {mimo[0]:.2f} times joint training's time (95% interval {mimo[1]:.2f} to {mimo[2]:.2f}; by multiply-adds {1 + extra / base:.2f}), "
        f"MGDA {ratios['MGDA'][0]:.2f}, PCGrad {ratios['PCGrad'][0]:.2f} and MMPareto's rule {rule:.2f} times. Published for CREMA-D: MIMO "
        f"{PUBLISHED['MIMO'] / PUBLISHED['vanilla']:.2f}, MMPareto {PUBLISHED['MMPareto'] / PUBLISHED['vanilla']:.1f}; "
        "extra backward passes and a compact solver "
        f"account for a factor {rule:.1f} here, so the published one must contain more than these."
    )
    shown = Counterexample(
        "see the measured ratios",
        "python -c \"from paper_checks import timing; print(timing.measure(20).ratio('MIMO'))\"",
    )
    return Evidence(
        Verdict.HOLDS if holds else Verdict.REFUTED,
        words,
        numbers,
        None if holds else shown,
        functools.partial(_draw, ratios),
    )


def _draw(ratios: dict[str, tuple[float, float, float]], ax: Axes) -> None:
    from mimo_sim.plots import METHOD_COLORS

    for i, (name, (middle, low, high)) in enumerate(ratios.items()):
        ax.errorbar(
            [middle],
            [i],
            xerr=[[middle - low], [high - middle]],
            marker="o",
            capsize=2,
            color=METHOD_COLORS[1 + i],
        )
        if name in PUBLISHED:
            ax.plot(
                [PUBLISHED[name] / PUBLISHED["vanilla"]],
                [i],
                marker="x",
                color=METHOD_COLORS[1 + i],
            )
    ax.axvline(1.0, color="0.7", lw=0.8)
    ax.set_yticks(range(len(ratios)), list(ratios))
    ax.set(
        xscale="log",
        xlabel="sub-routine time over joint training's (dots: measured, crosses: published)",
        ylim=(len(ratios) - 0.5, -0.5),
    )
    ax.set_xticks((1, 2, 4, 8), ("1", "2", "4", "8"))
    ax.minorticks_off()
