"""G2D: uni-modal teachers distil, and the encoders of the sure ones wait for the others."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_choice, check_count, check_positive
from mimo_sim.methods._base import Family, Method, Search
from mimo_sim.methods._buffers import EpochMean
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._scaling import scale_gradients
from mimo_sim.methods._scores import true_class_probability
from mimo_sim.methods._step import Forward
from mimo_sim.methods._teachers import Teachers
from mimo_sim.methods._windows import epochs_or_share

Rest = Literal["encoder", "kernels"]


def distillation(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), mean over the batch, 0-dim.

    Parameters
    ----------
    teacher, student : Tensor (B, C)
        Logits.
    temperature : float
        T > 0.
    """
    told, said = ((z / temperature).log_softmax(-1) for z in (teacher, student))
    return temperature**2 * F.kl_div(said, told, reduction="batchmean", log_target=True)


def trains(confidence: Tensor, released: int) -> Tensor:
    """Which encoders train: those with fewer than `released` teachers of lower confidence.

    So the `released` weakest train, and all that are equal to one of them.

    Parameters
    ----------
    confidence : Tensor (K,)
        How sure each teacher is of the true classes.
    released : int
        How many encoders are allowed to train, 1 to K.

    Returns
    -------
    Tensor (K,) of bool
    """
    return (confidence < confidence[:, None]).sum(1) < released


class G2D(Method):
    """Gradient-guided distillation: teachers for output and features, and the weak encoder first.

    Teachers are uni-modal networks with outputs o_k and features t_k (:class:`Teachers`). They are
    trained before the first epoch, and then frozen. The objective is L + sum_k
    [w :func:`distillation` of o_k to the joint output + u mean |h_k - t_k|^2]. In the first epochs
    some encoders rest. The teachers' probabilities of the true classes, summed over the batch, say
    which: with K = 2 that of the surer teacher. With more modalities they are released one after
    the other, the least sure first, in K - 1 equal parts of these epochs.

    Parameters
    ----------
    logit_weight, feature_weight : float
        w and u, >= 0. Default 1.
    temperature : float
        T > 0 of the distillation. Default 1.
    release : int, optional
        After how many epochs all encoders train, >= 0. Default: the published share, 151 of 300.
        Zero: at once. With w = u = 0 too this is joint training, bit for bit.
    rest : {"encoder", "kernels"}
        ``"encoder"`` (default): an encoder at rest does not move at all. ``"kernels"`` (released
        code, whose encoders have convolutions only): its weights of two or more dimensions have
        gradient zero, so momentum and weight decay still act, and all others learn.
    epochs : int, optional
        Length of the teachers' training, >= 1. Default: that of the run.

    Notes
    -----
    Rakib, Bagavathi (ICCV 2025), arXiv:2506.21514. The released code has two modalities; the equal
    parts for K > 2 are our reading. There the joint output is the mean of uni-modal ones; here it
    is the model's, which is their sum. Where teachers are equally sure, both encoders train. The
    teachers' epochs come on top of the run's. Batch-norm statistics move in an encoder at rest.
    """

    name: ClassVar[str] = "g2d"
    title: ClassVar[str] = "G2D"
    family: ClassVar[Family] = "multi-phase"
    about: ClassVar[str] = "uni-modal teachers distil; the weak encoder trains first (ICCV 2025)"
    waits: ClassVar[str] = "how sure the teachers are decides which encoders train"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Rakib, Bagavathi, ICCV 2025, arXiv:2506.21514",
        follows="both",
        code="rAIson-Lab/G2D",
        released=(
            "Two modalities. Joint output is the mean of uni-modal ones, here their sum. Equal "
            "confidence is an error."
        ),
    )
    search: ClassVar[Search] = {
        "logit_weight": ("log", 0.1, 10.0),
        "feature_weight": ("log", 0.1, 10.0),
    }
    needs_classes: ClassVar[bool] = True
    min_modalities: ClassVar[int] = 2
    trained: EpochMean
    """Share (K,) of the steps in which each encoder trained, for the report."""

    def __init__(
        self,
        logit_weight: float = 1.0,
        feature_weight: float = 1.0,
        temperature: float = 1.0,
        release: int | None = None,
        rest: Rest = "encoder",
        epochs: int | None = None,
    ) -> None:
        check_positive("logit_weight", logit_weight, allow_zero=True)
        check_positive("feature_weight", feature_weight, allow_zero=True)
        check_positive("temperature", temperature)
        if release is not None:
            release = check_count("release", release, 0)
        check_choice("rest", rest, get_args(Rest))
        if epochs is not None:
            epochs = check_count("epochs", epochs)
        super().__init__(
            logit_weight=logit_weight,
            feature_weight=feature_weight,
            temperature=temperature,
            release=release,
            rest=rest,
            epochs=epochs,
        )
        self.logit_weight, self.feature_weight = logit_weight, feature_weight
        self.temperature, self.release, self.rest = temperature, release, rest
        self.length = epochs
        # The teachers' features (n, d_k) and outputs (n, C). They follow from the teachers, so they
        # are no state.
        self.lesson: tuple[list[Tensor], list[Tensor]] | None = None

    def setup(self, run: Run) -> None:
        """Make room for the teachers, and the buffer of the report."""
        self.teachers = Teachers(run.model)
        self.lesson = None
        self.trained = EpochMean(run.model.num_modalities, run.device)

    def begin_epoch(self, run: Run) -> None:
        """Train the teachers before the first epoch, and keep what they say."""
        self.trained.reset()
        if not (self.logit_weight or self.feature_weight or self.first_free(run)):
            return
        if run.epoch == 0:
            self.teachers.learn(run, self.length or run.num_epochs)
        if self.lesson is None:
            self.lesson = self.teachers.lesson(run)

    def first_free(self, run: Run) -> int:
        """The first epoch in which all encoders train."""
        return epochs_or_share(self.release, run, 151 / 300)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """L and the two distillations."""
        objective = out.loss
        if self.lesson is None:
            return objective
        features, outputs = self.lesson
        if self.logit_weight:
            for o in outputs:
                told = distillation(o[out.batch.index], out.logits, self.temperature)
                objective = objective + self.logit_weight * told
        if self.feature_weight:
            for h, t in zip(out.features, features, strict=True):
                objective = objective + self.feature_weight * F.mse_loss(h, t[out.batch.index])
        return objective

    @torch.no_grad()
    def gradients(self, run: Run, out: Forward) -> None:
        """Take the gradients of the encoders at rest."""
        free = self.first_free(run)
        if self.lesson is None or run.epoch >= free:
            return
        encoders, (_, outputs) = run.model.encoders, self.lesson
        target, index = out.batch.target, out.batch.index
        sure = run.mean(torch.stack([true_class_probability(o[index], target) for o in outputs]))
        on = trains(sure, 1 + run.epoch * (len(encoders) - 1) // free)
        self.trained.add(on)
        if self.rest == "kernels":
            kernels = [[p for p in encoder.parameters() if p.ndim > 1] for encoder in encoders]
            scale_gradients(kernels, on)
            return
        for encoder, moves in zip(encoders, on.tolist(), strict=True):
            if not moves:
                encoder.zero_grad(set_to_none=True)

    def report(self) -> dict[str, Any]:
        """Share (K,) of the steps in which each encoder trained, while some had to rest."""
        return {"trained": self.trained.mean().tolist()} if self.trained.count else {}
