"""Greedy: the modality that learns much from the others gets constant gates for some steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, get_args

import torch
from torch import Tensor, nn

from mimo_sim._checks import check_choice, check_count, check_number
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._buffers import EpochMean
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._scores import mean_of_others
from mimo_sim.methods._step import Batch, Forward

if TYPE_CHECKING:
    from mimo_sim.networks._base import FusionNetwork
    from mimo_sim.networks.mmtm import MMTM, Gate

Rule = Literal["guided", "random"]
Output = Literal["branches", "joint"]


def relative_size(parameters: Iterable[nn.Parameter]) -> Tensor:
    """|gradient|^2 / |weights|^2 over all entries of some parameters, 0-dim, without gradient.

    A parameter that has no gradient counts as one whose gradient is zero.
    """
    every = list(parameters)
    gradients = [p.grad.square().sum() for p in every if p.grad is not None]
    weights = torch.stack([p.detach().square().sum() for p in every]).sum()
    return torch.stack(gradients).sum() / weights if gradients else torch.zeros_like(weights)


def speeds(cross: Tensor, own: Tensor) -> Tensor:
    """Conditional learning speeds s (K,): log10 of `cross` over `own`, both (K,) sums over steps.

    It is how fast a branch learns from the other modalities, compared with how fast from its own.
    """
    return torch.log10(cross / own)


def leads(speed: Tensor) -> Tensor:
    """How far the speed s (K,) of each branch is above the mean of the others, (K,).

    For K = 2 these are d = s_1 - s_2 and -d, as published; for K > 2 it is an extension of ours.
    """
    return speed - mean_of_others(speed)


class Greedy(Method):
    """Balanced learning by conditional learning speed, in a network with gates between encoders.

    Each branch k is an encoder with its own head, and the joint output is the mean of the heads'
    outputs v_k. The loss is the plain sum of their losses. After every normal step the speed s_k of
    each branch is measured: how large the gradients of its gates were so far, compared with those
    of its own weights (:func:`relative_size`, :func:`speeds`). If a branch leads the others by more
    than eps, the next steps are re-balanced: its gates are constants, the mean over all steps so
    far. Then it learns from its own modality alone. The joint code of the gates counts for every
    branch.

    Parameters
    ----------
    eps : float
        How large a lead is too large, >= 0. Default 0.01, as published. Infinity never re-balances.
    steps : int
        How many steps are re-balanced in a row, >= 1. Default 5, as published.
    start : int
        The first zero-based epoch in which steps may be re-balanced, >= 0. Default 1, as published.
    rule : {"guided", "random"}
        ``"guided"`` is the method. ``"random"`` is its control: from `start` on, every step draws
        which branch has constant gates, or none.
    output : {"branches", "joint"}
        ``"branches"``, as published, or ``"joint"``: the network's joint head on all features, and
        its loss alone. With ``"joint"`` and eps = infinity it is joint training, bit for bit.

    Notes
    -----
    Wu, Jastrzebski, Cho, Geras (ICML 2022), arXiv:2202.05306. The released code takes the mean
    gates of the second branch from those of the first, which fails where widths differ; it also
    renews them in evaluation, and waits for the device twice per parameter. None of this is here.
    Its gates lie in (0, 1); those of our network lie in (0, 2), as in the paper on MMTM. The form
    ``"joint"`` is that of a public benchmark, BalanceBenchmark. K > 2 is an extension. The
    conditional utilisation rate is no part of the training: the final figures of a run in such a
    network have it (:mod:`mimo_sim.training.utilisation`).
    """

    name: ClassVar[str] = "greedy"
    title: ClassVar[str] = "Greedy"
    family: ClassVar[Family] = "feed-forward"
    about: ClassVar[str] = "constant gates for the branch that learns from others (ICML 2022)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Wu, Jastrzebski, Cho, Geras, ICML 2022, arXiv:2202.05306",
        follows="paper",
        code="nyukat/greedy_multimodal_learning",
        released=(
            "The mean gates of branch 2 are taken from branch 1, which fails where widths "
            "differ. Evaluation moves them too. Gates lie in (0, 1), here in (0, 2)."
        ),
    )
    search: ClassVar[Search] = {"eps": ("log", 0.001, 1.0), "steps": ("int", 1, 50)}
    needs: ClassVar[Needs] = "gates"
    uses_heads: ClassVar[bool] = True
    min_modalities: ClassVar[int] = 2
    frozen: Tensor
    """Which branches (K,) have constant gates now; at most one."""
    left: Tensor
    """How many more steps are re-balanced."""
    cross: Tensor
    """Sum (K,) over normal steps of the relative size of the gradients of a branch's gates."""
    own: Tensor
    """The same for the weights of a branch itself."""

    def __init__(
        self,
        eps: float = 0.01,
        steps: int = 5,
        start: int = 1,
        rule: Rule = "guided",
        output: Output = "branches",
    ) -> None:
        if not check_number("eps", eps) >= 0:
            raise ValueError(f"`eps` must be >= 0. Got eps={eps!r}.")
        steps, start = check_count("steps", steps), check_count("start", start, 0)
        check_choice("rule", rule, get_args(Rule))
        check_choice("output", output, get_args(Output))
        super().__init__(eps=eps, steps=steps, start=start, rule=rule, output=output)
        self.eps, self.steps, self.start = eps, steps, start
        self.rule, self.output = rule, output

    def setup(self, run: Run) -> None:
        """Make the buffers."""
        modalities = run.model.num_modalities
        self.register_buffer("frozen", torch.zeros(modalities, dtype=torch.bool, device=run.device))
        self.register_buffer("left", torch.zeros((), dtype=torch.long, device=run.device))
        for name in ("cross", "own"):
            self.register_buffer(name, torch.zeros(modalities, device=run.device))
        channels = [each.out_features for gate in gates(run.model) for each in excitations(gate)]
        self.mean_gates = EpochMean(sum(channels), run.device)  # over the run: it is never reset
        self.channels = channels
        self.shares = EpochMean(modalities, run.device)

    def begin_epoch(self, run: Run) -> None:
        """Begin the shares of the report."""
        self.shares.reset()

    def forward_pass(self, run: Run, batch: Batch) -> Forward:
        """Encode the batch, with constant gates for the frozen branch, and renew their means."""
        model = cast("MMTM", run.model)
        modalities = model.num_modalities
        if self.rule == "random" and run.epoch >= self.start:
            draw = torch.randint(
                modalities + 1, (), generator=run.generator, device=run.device
            )  # the last number is a normal step
            self.frozen.copy_(torch.arange(modalities, device=run.device) == draw)
        self.shares.add(self.frozen.float())
        constants = torch.split(self.mean_gates.mean(), self.channels)
        seen: list[Tensor] = []

        def gating(number: int, gate: Gate, signals: Sequence[Tensor]) -> list[Tensor]:
            values = gate.values(gate.means(signals))
            seen.extend(value.detach().mean(0) for value in values)
            own = constants[number * modalities : (number + 1) * modalities]
            return [
                torch.where(frozen, constant, value)
                for frozen, constant, value in zip(self.frozen, own, values, strict=True)
            ]

        features = model.features(batch.inputs, gating)
        self.mean_gates.add(run.mean(torch.cat(seen)))
        return Forward(model, batch, features, self.fuse(model, features), run.loss_function)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """The sum of the losses of all branches, or the joint loss."""
        return out.loss if self.output == "joint" else out.head_losses.sum()

    @torch.no_grad()
    def gradients(self, run: Run, out: Forward) -> None:
        """Measure the speeds after a normal step, and decide what the next step is."""
        if self.rule == "random":
            return
        normal = ~self.frozen.any()
        cross, own = self.sizes(run.model)
        self.cross += torch.where(normal, cross, 0.0)
        self.own += torch.where(normal, own, 0.0)
        if run.epoch < self.start:
            return
        lead = leads(speeds(self.cross, self.own))
        first = torch.arange(len(lead), device=run.device) == lead.argmax()
        chosen = first & (lead > self.eps)
        left = torch.where(normal, self.steps, self.left - 1)
        self.frozen.copy_(torch.where(normal, chosen, self.frozen & (left > 0)))
        self.left.copy_(left)

    def sizes(self, model: FusionNetwork) -> tuple[Tensor, Tensor]:
        """The relative sizes (K,) of the gradients of each branch's gates, and of its weights."""
        every = gates(model)
        joint = [p for gate in every for p in gate.squeeze.parameters()]
        cross, own = [], []
        for k, encoder in enumerate(model.encoders):
            excite = [p for gate in every for p in gate.excite[k].parameters()]
            head = [] if self.output == "joint" else list(model.heads[k].parameters())
            cross.append(relative_size([*joint, *excite]))
            own.append(relative_size([*encoder.parameters(), *head]))
        return torch.stack(cross), torch.stack(own)

    def fuse(self, model: FusionNetwork, features: Sequence[Tensor]) -> Tensor:
        """The mean of v_k (B, C), or the joint output."""
        if self.output == "joint":
            return model.fuse(features)
        return torch.stack(model.head_logits(features)).mean(0)

    def unimodal_outputs(
        self, model: FusionNetwork, features: Sequence[Tensor]
    ) -> list[Tensor] | None:
        """v_k (B, C) of every branch; None where no head is trained."""
        return None if self.output == "joint" else model.head_logits(features)

    def report(self) -> dict[str, Any]:
        """Speeds s (K,), and the share (K,) of the epoch's steps with constant gates."""
        found = {"frozen": self.shares.mean().tolist()}
        speed = speeds(self.cross, self.own).tolist()
        if all(map(math.isfinite, speed)):
            found["speed"] = speed
        return found


def gates(model: FusionNetwork) -> list[Gate]:
    """The gates of a network, in order."""
    return cast("list[Gate]", list(cast("MMTM", model).gates))


def excitations(gate: Gate) -> list[nn.Linear]:
    """The layers that make the gates of every modality."""
    return cast("list[nn.Linear]", list(gate.excite))
