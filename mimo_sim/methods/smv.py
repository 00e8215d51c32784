"""SMV: repeat samples with one modality alone, where that modality contributes little."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from mimo_sim._checks import check_choice, check_count, check_positive
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._conformance import SAME_TENSORS, Conformance
from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.methods._run import Run
from mimo_sim.methods._shapley import coalitions, shapley
from mimo_sim.methods._step import Plan
from mimo_sim.methods._windows import epochs_or_share

Level = Literal["sample", "modality"]
Shape = Literal["identity", "tanh", "power"]


def copies(values: Tensor) -> Tensor:
    """How often to repeat a sample with one modality, from its Shapley value; elementwise.

    Never for a value of 1 or more; once in [1/2, 1); twice in [0, 1/2); three times below 0.
    """
    return (2 - torch.floor(2 * values + 1e-6)).clamp(0, 3).long()


def shaped(gap: Tensor, shape: Shape, alpha: float = 1.0) -> Tensor:
    """The shape f of a gap at strength alpha: alpha gap, tanh(alpha gap), or alpha gap^1.5.

    As in the released code, the power is that of the gap alone.
    """
    if shape == "tanh":
        return torch.tanh(alpha * gap)
    return alpha * (gap**1.5 if shape == "power" else gap)


class SMV(Method):
    """Sample-level modality valuation: more practice for a modality, where it contributes little.

    A set of modalities has the value |S| for a sample if the network classifies the sample
    correctly from their features alone (the others zeroed), else 0. The contribution of a modality
    to the sample is its Shapley value in this game. After the warm-up, contributions are measured
    before every epoch, and copies of samples with a single modality are added to the epoch.

    Parameters
    ----------
    level : {"sample", "modality"}
        ``"sample"`` (default): :func:`copies` of every sample for every modality. ``"modality"``:
        copies of samples drawn at random with replacement, only for the modality with the lowest
        mean contribution. Their number is floor(f(2/3 gap) n), where gap is the largest minus the
        smallest mean contribution.
    warm_up : int, optional
        Epochs on the plain data first, >= 0. Default: the published share, 5 of 60.
    subset : float
        Share of the train split on which the modality level measures, in (0, 1]. Default 0.2. It
        draws floor(subset n) samples, at least one, with replacement.
    alpha : float
        Strength of the modality level, >= 0. Default 1. Zero is joint training, bit for bit.
    shape : {"identity", "tanh", "power"}
        f of the modality level, see :func:`shaped`. Default ``"identity"``, as released.

    Notes
    -----
    Wei, Feng, Wang, Hu (CVPR 2024). The modality level draws and rounds as the released code does,
    and its shapes are the released ones. For K > 2 the bins of :func:`copies` and the gap are
    extensions. An epoch grows up to 1 + 3K times, and a valuation is one more pass. So compare
    methods by optimizer steps (column ``samples``), not by epochs.
    """

    name: ClassVar[str] = "smv"
    title: ClassVar[str] = "SMV"
    family: ClassVar[Family] = "data"
    about: ClassVar[str] = "repeats samples with the modality that contributes little (CVPR 2024)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Wei, Feng, Wang, Hu, CVPR 2024",
        follows="released code",
        code="GeWu-Lab/Valuate-and-Enhance-Multimodal-Cooperation",
        released=(
            "Values samples in randomly augmented form. The strength is applied outside the "
            "power, and the subset is drawn with replacement, as here."
        ),
        compared=SAME_TENSORS,
        apart="round-off",
    )
    search: ClassVar[Search] = {"subset": ("uniform", 0.1, 0.5)}
    min_modalities: ClassVar[int] = 2
    needs_classes: ClassVar[bool] = True
    contribution: Tensor
    """Mean contributions (K,) at the last valuation; NaN before the first."""
    samples_used: Tensor
    """Samples in the epoch, copies included."""

    def __init__(
        self,
        level: Level = "sample",
        warm_up: int | None = None,
        subset: float = 0.2,
        alpha: float = 1.0,
        shape: Shape = "identity",
    ) -> None:
        check_choice("level", level, get_args(Level))
        check_choice("shape", shape, get_args(Shape))
        check_positive("subset", subset)
        if subset > 1:
            raise ValueError(f"`subset` must be in (0, 1]. Got subset={subset!r}.")
        check_positive("alpha", alpha, allow_zero=True)
        if warm_up is not None:
            warm_up = check_count("warm_up", warm_up, 0)
        super().__init__(level=level, warm_up=warm_up, subset=subset, alpha=alpha, shape=shape)
        self.level, self.warm_up = level, warm_up
        self.subset, self.alpha, self.shape = subset, alpha, shape

    def setup(self, run: Run) -> None:
        """Make buffers for the report."""
        unknown = torch.full((run.model.num_modalities,), torch.nan, device=run.device)
        self.register_buffer("contribution", unknown)
        self.register_buffer("samples_used", torch.tensor(len(run.train), device=run.device))

    def samples(self, run: Run) -> Plan | None:
        """The train split and the copies."""
        warming_up = run.epoch < epochs_or_share(self.warm_up, run, 5 / 60)
        if warming_up or (self.level == "modality" and not self.alpha):
            return None
        if self.level == "sample":
            copied, kept = self._sample_level(run)
        else:
            copied, kept = self._modality_level(run)
        n = len(run.train)
        self.samples_used.fill_(n + len(copied))
        if not len(copied):
            return None
        modalities = torch.arange(run.model.num_modalities, device=run.device)
        whole = torch.ones(n, len(modalities), dtype=torch.bool, device=run.device)
        return Plan(
            index=torch.cat([torch.arange(n, device=run.device), copied]),
            keep=torch.cat([whole, kept[:, None] == modalities]),
        )

    def _sample_level(self, run: Run) -> tuple[Tensor, Tensor]:
        """Positions (n',) of the copied samples, and the modality (n',) that each keeps."""
        each = self._contributions(run, torch.arange(len(run.train), device=run.device))
        number = copies(each)
        pairs = torch.arange(number.numel(), device=run.device)  # sample by sample
        repeated = pairs.repeat_interleave(number.flatten())
        return repeated // number.shape[1], repeated % number.shape[1]

    def _modality_level(self, run: Run) -> tuple[Tensor, Tensor]:
        """Positions (n',) of the copied samples, and the modality (n',) that each keeps."""
        n = len(run.train)
        measured = max(1, int(self.subset * n))
        drawn = torch.randint(n, (measured,), generator=run.generator, device=run.device)
        mean = self._contributions(run, drawn).mean(0)
        gap = mean.amax() - mean.amin()
        number = int(shaped(2 / 3 * gap, self.shape, self.alpha) * n)
        copied = torch.randint(n, (number,), generator=run.generator, device=run.device)
        return copied, mean.argmin().expand(number)

    @torch.no_grad()
    def _contributions(self, run: Run, index: Tensor) -> Tensor:
        """Shapley values (n', K), float64, of the samples at `index` of the train split."""
        model = run.model
        sets = list(coalitions(model.num_modalities))
        batch_size = -(-len(run.train) // run.batches_per_epoch)  # rounded up
        parts = []
        with evaluation_mode(model):
            for some in torch.split(index, batch_size):
                batch = run.inputs(run.train, some)
                features = model.features(batch.inputs)
                values = []
                for kept in sets:
                    left = [h if k in kept else torch.zeros_like(h) for k, h in enumerate(features)]
                    right = self.fuse(model, left).argmax(1) == batch.target
                    values.append(right * len(kept))
                parts.append(shapley(torch.stack(values, dim=1).double()))
        contributions = torch.cat(parts)
        self.contribution.copy_(contributions.mean(0))
        return contributions

    def report(self) -> dict[str, Any]:
        """Mean contributions (K,) at the last valuation, and the samples in the epoch."""
        return {"contribution": self.contribution.tolist(), "samples": int(self.samples_used)}
