"""SMV: train again, with one modality alone, on the samples to which that modality contributes little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Family, Method, Plan, Run
from mimo_sim.methods._shapley import coalitions, shapley
from mimo_sim.methods._shared import epochs_or_share, evaluation_mode

Level = Literal["sample", "modality"]
SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda gap: gap,
    "tanh": torch.tanh,
    "power": lambda gap: gap**1.5,
}


def copies(values: Tensor) -> Tensor:
    """Extra single-modality copies from Shapley values, elementwise: 0 from 1 up, 1 in [1/2, 1), 2 in [0, 1/2), 3 below 0."""
    return (2 - torch.floor(2 * values + 1e-6)).clamp(0, 3).long()


class SMV(Method):
    """Sample-level modality valuation.

    The value of a set of modalities for a sample is their number if the network classifies it correctly from their features alone (the others zeroed), else
    0. A modality's contribution to the sample is its Shapley value in this game. After the warm-up, contributions are measured before every epoch, and
    copies of samples with one modality kept are added to the epoch.

    Parameters
    ----------
    level : {"sample", "modality"}
        ``"sample"``: :func:`copies` of every sample for every modality. ``"modality"``: only for the modality of lowest mean contribution, of
        randomly drawn samples, as many as floor(f(2/3 gap alpha) n).
    warm_up : int, optional
        Epochs on the plain data first, >= 0; None: the published share, 5 of 60.
    subset : float
        Share of the train split on which the modality level measures, in (0, 1].
    alpha : float
        Strength of the modality level, >= 0; zero is joint training, bit for bit.
    shape : {"identity", "tanh", "power"}
        f of the modality level; ``"power"`` is the exponent 1.5.

    Notes
    -----
    Wei, Feng, Wang, Hu (CVPR 2024). For K > 2 the bins of :func:`copies` and the gap, largest minus smallest mean contribution, are extensions.
    An epoch grows up to 1 + 3K times, and a valuation is one more pass: compare methods by optimizer steps (column ``samples``), not epochs.
    """

    name: ClassVar[str] = "smv"
    family: ClassVar[Family] = "data"
    about: ClassVar[str] = (
        "repeats samples with single modalities by their Shapley contributions (CVPR 2024)"
    )
    min_modalities: ClassVar[int] = 2
    needs_classes: ClassVar[bool] = True
    contribution: Tensor  # (K,) means of the last valuation
    samples_used: Tensor

    def __init__(
        self,
        level: Level = "sample",
        warm_up: int | None = None,
        subset: float = 0.2,
        alpha: float = 1.0,
        shape: Literal["identity", "tanh", "power"] = "identity",
    ) -> None:
        for key, value, allowed in (
            ("level", level, get_args(Level)),
            ("shape", shape, tuple(SHAPES)),
        ):
            if value not in allowed:
                raise ValueError(f"`{key}` must be one of {allowed}. Got {key}={value!r}.")
        check_positive("subset", subset)
        if subset > 1:
            raise ValueError(f"`subset` must be in (0, 1]. Got subset={subset!r}.")
        check_positive("alpha", alpha, allow_zero=True)
        if warm_up is not None:
            warm_up = check_count("warm_up", warm_up, 0)
        super().__init__(level=level, warm_up=warm_up, subset=subset, alpha=alpha, shape=shape)
        self.level, self.warm_up, self.subset, self.alpha, self.shape = (
            level,
            warm_up,
            subset,
            alpha,
            shape,
        )

    def setup(self, run: Run) -> None:
        """Make buffers for the report."""
        self.register_buffer(
            "contribution", torch.full((run.model.num_modalities,), torch.nan, device=run.device)
        )
        self.register_buffer("samples_used", torch.tensor(len(run.train), device=run.device))

    def samples(self, run: Run) -> Plan | None:
        """The train split and the copies."""
        if run.epoch < epochs_or_share(self.warm_up, run, 5 / 60) or (
            self.level == "modality" and not self.alpha
        ):
            return None
        chosen, kept = (
            self._sample_level(run) if self.level == "sample" else self._modality_level(run)
        )
        n = len(run.train)
        self.samples_used.fill_(n + len(chosen))
        if not len(chosen):
            return None
        index = torch.cat([torch.arange(n, device=run.device), chosen])
        modalities = torch.arange(run.model.num_modalities, device=run.device)
        return Plan(
            index,
            torch.cat(
                [
                    torch.ones(n, len(modalities), dtype=torch.bool, device=run.device),
                    kept[:, None] == modalities,
                ]
            ),
        )

    def _sample_level(self, run: Run) -> tuple[Tensor, Tensor]:
        """Positions (n',) to repeat and the modality (n',) to keep of each."""
        each = self._contributions(run, torch.arange(len(run.train), device=run.device))
        number = copies(each)
        position = torch.arange(number.numel(), device=run.device).repeat_interleave(
            number.flatten()
        )
        return position // number.shape[1], position % number.shape[1]

    def _modality_level(self, run: Run) -> tuple[Tensor, Tensor]:
        n = len(run.train)
        some = torch.randperm(n, generator=run.generator, device=run.device)[
            : max(1, round(self.subset * n))
        ]
        mean = self._contributions(run, some).mean(0)
        number = int(SHAPES[self.shape](2 / 3 * self.alpha * (mean.amax() - mean.amin())) * n)
        chosen = torch.randint(n, (number,), generator=run.generator, device=run.device)
        return chosen, mean.argmin().expand(number)

    @torch.no_grad()
    def _contributions(self, run: Run, index: Tensor) -> Tensor:
        """Shapley values (n', K), float64, of the samples at `index` of the train split."""
        model, parts = run.model, []
        sets = list(coalitions(model.num_modalities))
        with evaluation_mode(model):
            for some in torch.split(index, -(-len(run.train) // run.batches_per_epoch)):
                batch = run.inputs(run.train, some)
                features = model.features(batch.inputs)
                right = [
                    (
                        self.fuse(
                            model,
                            [
                                h if k in kept else torch.zeros_like(h)
                                for k, h in enumerate(features)
                            ],
                        ).argmax(1)
                        == batch.target
                    )
                    * len(kept)
                    for kept in sets
                ]
                parts.append(shapley(torch.stack(right, dim=1).double()))
        values = torch.cat(parts)
        self.contribution.copy_(values.mean(0))
        return values

    def report(self) -> dict[str, Any]:
        """Mean contributions (K,) at the last valuation, and samples in the epoch."""
        return {"contribution": self.contribution.tolist(), "samples": int(self.samples_used)}
