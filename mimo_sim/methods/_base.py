"""The interface of a balancing method: one training loop, and hooks that a method may override.

The loop (:mod:`mimo_sim.training`) does::

    method.setup(run)                     # once; on a resume before the state is loaded
    for epoch in range(method.epochs(run)):
        method.begin_epoch(run)           # e.g. renew prototypes, blend weights
        plan = method.samples(run)        # the samples of the epoch, and the modalities of each
        for batch in shuffled(plan):
            method.step(run, batch)       # forward, objective, backward, gradients, optimizer
        method.end_epoch(run)

:meth:`Method.step` calls the smaller hooks ``features``, ``fuse``, ``objective``, ``backward`` and
``gradients``. A hook that is not overridden changes nothing. What a method keeps from one epoch to
the next is a buffer or a parameter of the method itself. So a checkpoint holds it, it moves between
devices, and it never leaks into another run.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

from torch import Tensor, nn

from mimo_sim._checks import did_you_mean
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Batch, Forward, Plan

if TYPE_CHECKING:
    from mimo_sim.networks._base import FusionNetwork

Search: TypeAlias = Mapping[str, tuple[Any, ...]]  # hyper-parameter -> law of its values
Needs = Literal["joint", "encoders", "slices", "gates", "query"]
Family = Literal["reference", "data", "feed-forward", "objective", "gradient", "multi-phase"]

LACKS = {  # what a method needs -> the attribute that the network must have, and what to say
    "slices": ("linear", "a joint output that is a sum over modalities, as that of fusion 'late'"),
    "gates": ("gated", "gates between the encoders, as those of fusion 'mmtm'"),
    "query": ("queried", "a class token that asks all modalities, as that of fusion 'attention'"),
}


class Method(nn.Module):
    """A balancing method for networks.

    To add one, write a subclass in a new module of this package; it is then found by its ``name``.
    Its constructor takes the hyper-parameters as keyword arguments, with the published values as
    defaults. It checks them and passes all of them on: ``super().__init__(alpha=alpha)``. They
    become ``self.hyper``, which records and tables show.

    Attributes
    ----------
    name : str
        What the method is called in commands and records.
    title : str
        What it is called in figures and pages; empty is `name` with spaces.
    family : str
        What the method changes; one of :data:`Family`.
    about : str
        One short line with the source, for lists.
    waits : str
        Why a step waits for a result of the device, such as in ``tensor.item()``; empty where none
        does. A test listens.
    conformance : Conformance, optional
        Paper, released code and which of both this follows, for ``docs/conformance.md``. The
        methods of this package have it.
    search : mapping
        Where `mimo-sim bench tune` looks for its main hyper-parameters, beside learning rate and
        weight decay: ``("log", low, high)``, ``("uniform", low, high)``, ``("int", low, high)``
        or ``("choice", value, ...)``.
    uses_heads : bool
        Whether it trains the uni-modal heads of the model.
    capturable : bool
        Whether every step of an epoch launches the same kernels, so that a CUDA graph may replay
        one: nothing is decided on numbers, drawn, or counted in Python.
    needs_classes : bool
        Whether it is undefined for regression.
    needs : {"joint", "encoders", "slices", "gates", "query"}
        What it needs of the network. ``"joint"``: nothing but outputs. ``"encoders"`` (default): a
        feature depends on its own modality alone. ``"slices"``: also, the joint output is a sum
        over modalities. ``"query"``: also, a class token asks for the tokens of all modalities.
        ``"gates"``: there are gates between the encoders.
    min_modalities, max_modalities : int
        How many modalities it can take; a `max_modalities` of None sets no bound.

    Raises
    ------
    TypeError
        If the arguments of ``super().__init__`` are not exactly the constructor's hyper-parameters.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    family: ClassVar[Family] = "reference"
    about: ClassVar[str] = ""
    waits: ClassVar[str] = ""
    conformance: ClassVar[Conformance | None] = None
    search: ClassVar[Search] = {}
    uses_heads: ClassVar[bool] = False
    capturable: ClassVar[bool] = False
    needs_classes: ClassVar[bool] = False
    needs: ClassVar[Needs] = "encoders"
    min_modalities: ClassVar[int] = 1
    max_modalities: ClassVar[int | None] = None

    def __new__(cls, *args: Any, **hyper: Any) -> Self:
        """Refuse an unknown hyper-parameter with a hint, before any constructor sees it."""
        cls.refuse_unknown(hyper)
        return super().__new__(cls)

    def __init__(self, **hyper: Any) -> None:
        super().__init__()
        self.refuse_unknown(hyper)
        missing = [key for key in self.hyper_names() if key not in hyper]
        if missing:  # runs that differ in them would be taken for the same
            raise TypeError(
                f"method {self.name!r} in {type(self).__module__} must hand all hyper-parameters "
                f"to super().__init__. Missing: {', '.join(missing)}."
            )
        self.hyper = hyper

    @classmethod
    def hyper_names(cls) -> tuple[str, ...]:
        """Names of the hyper-parameters: the constructor's arguments."""
        return tuple(
            p.name
            for p in list(inspect.signature(cls.__init__).parameters.values())[1:]
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        )

    @classmethod
    def refuse_unknown(cls, hyper: Mapping[str, Any]) -> None:
        """Raise ``TypeError`` for a hyper-parameter that the method does not have."""
        allowed = cls.hyper_names()
        unknown = [key for key in hyper if key not in allowed]
        if unknown:
            meant = "".join(did_you_mean(key, allowed) for key in unknown)
            raise TypeError(
                f"method {cls.name!r} takes {allowed or 'no hyper-parameters'}. "
                f"Got {', '.join(unknown)}.{meant}"
            )

    @classmethod
    def refusal(
        cls, task: str, num_modalities: int | None, network: type[FusionNetwork] | None = None
    ) -> str:
        """Why the method is not defined for such data or network; empty where it is defined.

        Parameters
        ----------
        task : {"classification", "regression"}
            Task of the data set.
        num_modalities : int or None
            How many modalities the data set has; None where this is not known.
        network : class, optional
            The fusion network.
        """
        if network is not None and cls.needs in LACKS:
            attribute, words = LACKS[cls.needs]
            if not getattr(network, attribute):
                return f"method {cls.name!r} needs {words}. Got fusion {network.name!r}"
        if network is not None and cls.needs not in ("joint", "gates") and not network.separate:
            return (
                f"method {cls.name!r} needs encoders that do not look at each other. "
                f"Got fusion {network.name!r}"
            )
        if cls.needs_classes and task != "classification":
            return f"method {cls.name!r} is defined for classification. Got {task}"
        if num_modalities is None:
            return ""
        if num_modalities < cls.min_modalities:
            bound = f"at least {cls.min_modalities}"
        elif cls.max_modalities is not None and num_modalities > cls.max_modalities:
            bound = f"at most {cls.max_modalities}"
        else:
            return ""
        return f"method {cls.name!r} needs {bound} modalities. Got {num_modalities}"

    @classmethod
    def default_fusion(cls) -> str:
        """``late`` where the method is defined in late fusion, else the first network it suits."""
        from mimo_sim.networks._registry import available, get_network

        names = ("late", *available())
        suited = (
            name for name in names if not cls.refusal("classification", None, get_network(name))
        )
        return next(suited, "late")

    def extra_repr(self) -> str:
        """The hyper-parameters, as ``repr`` shows them."""
        return ", ".join(f"{key}={value!r}" for key, value in self.hyper.items())

    # -- once per run, and once per epoch ----------------------------------------------------
    def setup(self, run: Run) -> None:
        """Make buffers for this model and data. A method may refuse a model it cannot train.

        The model must stay as it is.
        """

    def epochs(self, run: Run) -> int:
        """Number of epochs of the loop. A method that spends passes elsewhere may return fewer."""
        return run.num_epochs

    def begin_epoch(self, run: Run) -> None:
        """Called before the first batch of epoch ``run.epoch``."""

    def samples(self, run: Run) -> Plan | None:
        """The samples of this epoch; None is the whole train split once.

        A plan repeats samples, keeps only some of their modalities, or keeps groups of them in
        batches of their own (:class:`mimo_sim.methods._step.Plan`).
        """
        return None

    def end_epoch(self, run: Run) -> None:
        """Called after the last batch of epoch ``run.epoch``."""

    # -- one batch ---------------------------------------------------------------------------
    def step(self, run: Run, batch: Batch) -> Forward:
        """One optimizer step. Methods that alternate override this, others the hooks below."""
        out = self.forward_pass(run, batch)
        run.optimizer.zero_grad(set_to_none=True)
        self.backward(run, out)
        self.gradients(run, out)
        run.optimizer.step()
        return out

    def forward_pass(self, run: Run, batch: Batch) -> Forward:
        """Encode the batch, let :meth:`features` change the features, and fuse them."""
        features = run.model.features(batch.inputs)
        if batch.keep is not None:
            features = [h * batch.keep[:, k, None] for k, h in enumerate(features)]
        features, weight = self.features(run, features, batch)
        logits = self.fuse(run.model, features)
        return Forward(run.model, batch, features, logits, run.loss_function, weight)

    def features(
        self, run: Run, features: list[Tensor], batch: Batch
    ) -> tuple[list[Tensor], Tensor | None]:
        """Change the features h_k (B, d_k) before they are fused; called in training only.

        Returns
        -------
        features : list of K tensors (B, d_k)
            What to train on.
        weight : Tensor (B,) or None
            Weights of the samples in the joint loss; None weighs them equally.
        """
        return features, None

    def fuse(self, model: FusionNetwork, features: Sequence[Tensor]) -> Tensor:
        """Joint output (B, C) of features, in training and in evaluation."""
        return model.fuse(features)

    def objective(self, run: Run, out: Forward) -> Tensor:
        """What is minimised, 0-dim."""
        return out.loss

    def backward(self, run: Run, out: Forward) -> None:
        """Fill ``.grad``. Methods that weigh several gradients override this."""
        run.backward(self.objective(run, out))

    def gradients(self, run: Run, out: Forward) -> None:
        """Change ``.grad`` before the optimizer step."""

    # -- evaluation --------------------------------------------------------------------------
    def unimodal_outputs(
        self, model: FusionNetwork, features: Sequence[Tensor]
    ) -> list[Tensor] | None:
        """Outputs (B, C) of the method's uni-modal predictors, or None where it trains none."""
        return model.head_logits(features) if self.uses_heads else None

    def report(self) -> dict[str, Any]:
        """Numbers for the epoch table, such as weights. Called after the last batch of an epoch."""
        return {}
