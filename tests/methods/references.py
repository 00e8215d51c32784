"""Numbers that released functions gave on tiny inputs, beside what the package gives on them.

The table is tested, and ``python -m tests.conformance`` writes what is found into
docs/conformance.md. A new number is a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mimo_sim.language.adapters import MokALinear, Routing
from mimo_sim.methods.amco import mask_ratio, shares
from mimo_sim.methods.amss import kept_shares, label_entropy, significance
from mimo_sim.methods.arl import asymmetric_weights, certainty, dependence
from mimo_sim.methods.aug import sustained_boosting_loss
from mimo_sim.methods.cagrad import cagrad_weights
from mimo_sim.methods.cggm import balance
from mimo_sim.methods.data_remixing import confidence
from mimo_sim.methods.g2d import distillation
from mimo_sim.methods.greedy import leads, relative_size, speeds
from mimo_sim.methods.lfm import fitted_weight, heuristic_weight, posterior_gap
from mimo_sim.methods.mgda import min_norm_weights
from mimo_sim.methods.mimo import MIMOLoss
from mimo_sim.methods.mlb import modulation
from mimo_sim.methods.ogm import modulation as ogm_modulation
from mimo_sim.methods.pcgrad import pcgrad_weights
from mimo_sim.methods.rollingq import balance_anchor, plane_rotation, share_of_first
from mimo_sim.methods.smv import shaped
from mimo_sim.methods.tcmax import total_correlation_loss
from tests.methods.tiny import FEATURES, LOGITS, TARGET

Numbers = float | Sequence[float]


@dataclass(frozen=True)
class Reference:
    """A number of a released function.

    Attributes
    ----------
    what : str
        In words.
    expected : float, list of float or function
        What the released function gave; or a function that asks a kept library now.
    ours : function
        What the package gives.
    within : float
        How far apart they may be: half a unit of the last digit that was noted, or round-off.
    """

    what: str
    expected: Numbers | Callable[[], Numbers]
    ours: Callable[[], Numbers]
    within: float = 5e-7

    def apart(self) -> float:
        """The largest difference."""
        expected = self.expected() if callable(self.expected) else self.expected
        return float(np.abs(np.subtract(self.ours(), expected)).max())


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# ---------------------------------------------------------------------------- what takes lines


def parameter(value: float, gradient: float) -> nn.Parameter:
    found = nn.Parameter(double(value))
    found.grad = double(gradient)
    return found


def greedy_lead() -> float:
    joint, one, two = parameter(1, 0.1), parameter(2, 0.4), parameter(1, 0.1)
    cross = torch.stack([relative_size([joint, one]), relative_size([joint, two])])
    own = torch.stack([relative_size([parameter(2, 0.2)]), relative_size([parameter(1, 0.3)])])
    return float(leads(speeds(cross, own))[0])


def anchor() -> Tensor:
    keys = torch.stack([double(0, 3, 0), double(0, 0, 1)])
    found = balance_anchor(double(2, 0, 0), keys, share_of_first(0.5, 2.0))
    assert found is not None
    return found


def turned() -> list[float]:
    turn = plane_rotation(double(2, 0, 0), anchor())
    assert turn is not None
    found: list[float] = (turn @ double(2, 0, 0)).tolist()
    return found


def amss_significance() -> Tensor:
    losses = torch.stack([F.cross_entropy(a, TARGET) for a in LOGITS])
    return significance(losses, list(FEATURES), label_entropy(TARGET, 3))


def remixing_confidence() -> float:
    return float(confidence(double(0.7, 0.2, 0.1).log()))


def in_units(vector: Tensor) -> list[float]:
    """As a part of its largest entry, so that one tolerance serves all."""
    found: list[float] = (vector / vector.abs().max()).tolist()
    return found


def library(name: str, **options: Any) -> Callable[[], list[float]]:
    """The combined gradient that an aggregator of torchjd makes of the rows of ROWS."""

    def ask() -> list[float]:
        from torchjd import aggregation

        weights = getattr(aggregation, f"{name}Weighting")(**options)(ROWS @ ROWS.T)
        return in_units(weights.double() @ ROWS)

    return ask


def penalty_of_torchjd() -> list[float]:
    from torchjd.scalarization import STCH

    losses = double(0.9, 2.1, 1.4).requires_grad_()
    value = STCH(mu=0.5, weights=torch.ones(3).double(), reference=torch.zeros(3).double())(losses)
    value.backward()  # type: ignore[no-untyped-call]
    assert losses.grad is not None
    return [float(value.detach()), *losses.grad.tolist()]


def penalty() -> list[float]:
    losses = double(0.9, 2.1, 1.4).requires_grad_()
    mimo = MIMOLoss(lam=1.0, mu=0.5, f_star="zero")
    joint = double(0.0)[0]
    value = mimo(joint, losses)
    value.backward()
    assert losses.grad is not None
    smooth = 0.5 * float(torch.logsumexp(losses.detach() / 0.5, 0))
    return [smooth, *losses.grad.tolist()]


ROWS = torch.tensor([[1.0, 2.0, -0.5], [-1.5, 0.5, 0.25]], dtype=torch.float64)  # they conflict
KEPT = 1e-6  # solvers of torchjd stop early

REFERENCES: dict[str, list[Reference]] = {
    "amco": [
        Reference(
            "share of masked entries at l = 0, .1, .2, .3, 1",
            [0, 0.5, 0.866025, 1, 1],
            lambda: [mask_ratio(level / 0.3) for level in (0, 0.1, 0.2, 0.3, 1)],
        ),
        Reference("share of A", 0.565138, lambda: float(shares([*LOGITS])[0])),
    ],
    "amss": [
        Reference("significance", [0.660991, 0.040437], lambda: amss_significance().tolist()),
        Reference(
            "entropy of FA",
            1.162028,
            lambda: 1 / float(significance(double(0, 0), list(FEATURES), double(0.5)[0])[0]),
        ),
        Reference(
            "shares that are kept",
            [0.1, 0.9],
            lambda: kept_shares(amss_significance(), 0.2).tolist(),
        ),
    ],
    "arl": [
        Reference("dependence", [0.529412, 0.470588], lambda: dependence(LOGITS).tolist()),
        Reference(
            "entropy shares", [0.453563, 0.546437], lambda: certainty(LOGITS).flip(0).tolist()
        ),
        Reference(
            "weights, T = 8",
            [0.533998, 0.466002],
            lambda: asymmetric_weights(LOGITS, 8.0).tolist(),
        ),
    ],
    "aug": [
        Reference(
            "loss of a modality",
            1.583564,
            lambda: float(sustained_boosting_loss(LOGITS[0], LOGITS[1], TARGET, 0.5)),
        )
    ],
    "cagrad": [
        Reference(
            "weights of orthogonal gradients of norms 1, 1 and 1, 3, torchjd",
            [0.75, 0.75, 1.29, 0.5],
            lambda: [
                *cagrad_weights(torch.diag(double(1, 1)), 0.5).tolist(),
                *cagrad_weights(torch.diag(double(1, 9)), 0.5).tolist(),
            ],
            within=5e-3,
        )
    ],
    "cggm": [
        Reference(
            "balance",
            [1 / 3, 2 / 3],
            lambda: balance(double(0.3, 0.35) - double(0.2, 0.3)).tolist(),
        )
    ],
    "data_remixing": [Reference("confidence in bits", 0.428183, remixing_confidence)],
    "g2d": [
        Reference(
            "distillation, teacher A", 0.512031, lambda: float(distillation(LOGITS[0], LOGITS[1]))
        ),
        Reference(
            "distance of features", 1.9375, lambda: float(F.mse_loss(FEATURES[0], FEATURES[1]))
        ),
    ],
    "greedy": [Reference("lead in speed", 1.4857214, greedy_lead, within=5e-8)],
    "lfm": [
        Reference("gap of posteriors", 0.141738, lambda: float(posterior_gap([*LOGITS]))),
        Reference(
            "loss of averaged heads",
            0.649121,
            lambda: float(F.cross_entropy(LOGITS.mean(0), TARGET)),
        ),
        Reference(
            "fitted weight at epochs 0, 1, 50, 100, 150, 175, 199",
            [0.204624, 0.208099, 0.436681, 0.539155, 0.821314, 0.992996, 0.915989],
            lambda: [fitted_weight(epoch) for epoch in (0, 1, 50, 100, 150, 175, 199)],
        ),
        Reference(
            "heuristic weight of matching, five epochs",
            [0.632, 0.393, 0.283, 0.221, 0.181],
            lambda: [1 - heuristic_weight(epoch) for epoch in range(5)],
            within=5e-4,
        ),
    ],
    "mgda": [
        Reference(
            "direction of two gradients, torchjd",
            library("MGDA", epsilon=1e-9, max_iters=3),
            lambda: in_units(min_norm_weights(ROWS @ ROWS.T) @ ROWS),
            within=KEPT,
        )
    ],
    "mimo": [
        Reference("smoothed maximum and weights, torchjd", penalty_of_torchjd, penalty, within=KEPT)
    ],
    "mlb": [
        Reference(
            "coefficients of scores .6 and .3",
            [0.364851, 1.905148],
            lambda: modulation(double(0.6, 0.3), 1.5).tolist(),
        )
    ],
    "ogm": [
        Reference(
            "coefficient just above balance, alpha = .8 and .3",
            [0.336, 0.709],
            lambda: [float(ogm_modulation(double(1 + 1e-6, 1), a)[0]) for a in (0.8, 0.3)],
            within=5e-4,
        )
    ],
    "pcgrad": [
        Reference(
            "direction of two gradients, torchjd",
            library("PCGrad"),
            lambda: in_units(pcgrad_weights(ROWS @ ROWS.T) @ ROWS),
            within=KEPT,
        )
    ],
    "rollingq": [
        Reference("leaning", 0.11920292, lambda: share_of_first(0.5, 2.0), within=5e-9),
        Reference("anchor", [0, 0.268225, 1.981932], lambda: anchor().tolist()),
        Reference("turned query", [0, 0.268225, 1.981932], turned),
    ],
    "smv": [
        Reference(
            "power of a gap, alpha = 2",
            0.2450,
            lambda: float(shaped(double(2 / 3 * 0.37)[0], "power", 2.0)),
            within=5e-5,
        )
    ],
    "tcmax": [
        Reference("loss", 1.326667, lambda: float(total_correlation_loss([*LOGITS], TARGET)))
    ],
}


# ---------------------------------------------------------------------------- adapters


def moka_rows(question: Tensor) -> Tensor:
    """What MokA makes of four tokens (text, text, video, audio), rows (B, 4, 2)."""
    routing = Routing()
    layer = MokALinear(
        nn.Linear(2, 2, bias=False).double(), 2, 4.0, 0.0, modalities=2, routing=routing
    ).double()
    with torch.no_grad():
        layer.base.weight.copy_(torch.eye(2))
        matrices = ([[1.0, 0], [0, 1]], [[0.0, 1], [1, 0]], [[1.0, 1], [0, 1]])
        for down, matrix in zip(layer.downs, matrices, strict=True):
            down.copy_(torch.tensor(matrix))
        layer.up.copy_(torch.tensor([[1.0, 0], [1, 1]]))
        x = torch.tensor([[[1.0, 2], [0.5, -1], [2, 0], [0, 1]]], dtype=torch.float64)
        with routing.of(torch.tensor([[0, 0, 1, 2]]).expand(len(question), -1), question):
            return layer(x.expand(len(question), -1, -1))  # type: ignore[no-any-return]


MOKA = [
    Reference(
        "all text is the question",
        [3, 8, 1.5, -2, 4, 10, 3.99995, 10.999649],
        lambda: moka_rows(torch.tensor([[True, True, False, False]])).flatten().tolist(),
        within=5e-6,  # the last but one was noted with five digits
    ),
    Reference(
        "only the first token is, audio",
        [4, 11],
        lambda: moka_rows(torch.tensor([[True, False, False, False]]))[0, 3].tolist(),
    ),
]
