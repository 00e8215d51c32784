"""What a balancing method costs: the time of its steps over that of joint training.

All methods take their steps in turn within one run, so that whatever else the machine does
disturbs them alike.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any, Literal, TypeAlias, get_args

import torch

from mimo_sim import methods
from mimo_sim._checks import check_choice
from mimo_sim.datasets._data import Dataset, Modality, Split
from mimo_sim.methods._base import Method
from mimo_sim.training import Settings, TrainingRun

Network: TypeAlias = Literal["lenet", "resnet18"]
Clock: TypeAlias = Literal["wall", "processor"]
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    # AV-MNIST
    "lenet": {"image": (1, 28, 28), "audio": (1, 112, 112)},
    # CREMA-D: log-spectrogram of 3 s, and three face frames (C, T, H, W)
    "resnet18": {"audio": (1, 257, 188), "frames": (3, 3, 224, 224)},
}
CLASSES = {"lenet": 10, "resnet18": 6}
BASELINE = "vanilla"
LATE = "late"
STEP = "step"
PARTS_OF_A_STEP = ("forward", "gradient", "optimizer")  # in the order in which they happen
PARTS = (STEP, *PARTS_OF_A_STEP)
HEADER = ("method", "step (ms)", "to vanilla", "sub-routine (ms)", "to vanilla")
CAPTION = (
    "Medians over rounds, ratios with quartiles; in every round all methods take a step in turn, "
    "and ratios are formed within it. "
    "Vanilla has no uni-modal heads. Sub-routine: from the end of the forward pass to the "
    "optimizer (objective, heads, backward passes, weights, modulation); "
    "- where a method has a step of its own. Work per epoch (valuations, clustering, training of "
    "branches) is not in it. "
    "Methods are as in their first epoch: inforeg, greedy and rollingq do not act yet, reconboost "
    "and data_remixing train one modality alone. "
    "Where a network is named in brackets the ratio is to vanilla in it."
)


@dataclass
class Timing:
    """How long the steps of a method took.

    Attributes
    ----------
    method : str
    hyper : dict
        All its hyper-parameters.
    fusion : str
        The network: ``late`` where the method is defined in it, else the first that it suits.
    seconds : dict of list of float
        By part, one entry per round. ``step`` is the whole step, from the batch to the updated
        weights. It is made of ``forward`` (encoders and fusion, with what the method does to
        features), ``gradient`` (the sub-routine: objective, heads, backward passes, weights,
        modulation) and ``optimizer``. These three are empty for a method with a step of its own.
    """

    method: str
    hyper: dict[str, Any]
    fusion: str = "late"
    seconds: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})

    def quartiles(
        self, part: str = STEP, baseline: Timing | None = None
    ) -> tuple[float, float, float] | None:
        """Lower quartile, median and upper quartile of the seconds of a part.

        With a `baseline` they are those of the ratio to the baseline's seconds in the same round.
        None where the part was not timed.
        """
        values = self.seconds[part]
        if not values:
            return None
        if baseline is not None:
            others = baseline.seconds[part]
            values = [mine / other for mine, other in zip(values, others, strict=True)]
        if len(values) == 1:
            return values[0], values[0], values[0]
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return low, middle, high


def random_data(network: Network, batch_size: int, seed: int = 0) -> Dataset:
    """One batch of standard normal inputs with random classes, in the shapes of `network`."""
    generator = torch.Generator().manual_seed(seed)
    shapes, classes = SHAPES[network], CLASSES[network]
    inputs = tuple(
        torch.randn(batch_size, *shape, generator=generator) for shape in shapes.values()
    )
    split = Split(inputs, torch.randint(classes, (batch_size,), generator=generator))
    return Dataset(
        f"random-{network}",
        tuple(Modality(name, shape) for name, shape in shapes.items()),
        split,
        split,
        split,
        classes=tuple(map(str, range(classes))),
    )


def time_methods(
    candidates: Sequence[Method],
    network: Network = "lenet",
    *,
    rounds: int = 50,
    warm_up: int = 5,
    batch_size: int = 64,
    clock: Clock = "wall",
    accelerator: str = "auto",
    precision: Literal["32-true", "bf16-mixed"] = "32-true",
    captured: bool = False,
    on_round: Callable[[], None] = lambda: None,
) -> tuple[list[Timing], torch.device]:
    """Time the steps of several methods.

    In every round each method takes one step, in random order. Each has its own copy of the same
    network and the same random batch.

    Parameters
    ----------
    candidates : sequence of Method
        Joint training in every network that occurs is put in front if it is not among them.
    network : {"lenet", "resnet18"}
        Encoders and shapes of the inputs: those of AV-MNIST, or of CREMA-D.
    rounds, warm_up : int
        Rounds that count, >= 1, and rounds before them, >= 0.
    batch_size : int
        Samples per step.
    clock : {"wall", "processor"}
        Elapsed time, or processor time of this process, for CPUs that others use too. On CUDA it
        is always the elapsed time between events.
    accelerator, precision : str
        As in :class:`mimo_sim.training.Settings`.
    captured : bool
        Take whole steps as the training loop does on CUDA: as a graph where a method allows it.
        Their parts are then not timed.
    on_round : function
        Called after each round.

    Returns
    -------
    list of Timing, torch.device

    Raises
    ------
    ValueError
        For an unknown network or clock, or a number of rounds out of range.
    """
    for name, value, allowed in (
        ("network", network, get_args(Network)),
        ("clock", clock, get_args(Clock)),
    ):
        check_choice(name, value, allowed)
    for name, number, least in (("rounds", rounds, 1), ("warm_up", warm_up, 0)):
        if number < least:
            raise ValueError(f"`{name}` must be >= {least}. Got {number}.")
    others = [method for method in candidates if method.name != BASELINE]
    settings = Settings(
        epochs=1,
        batch_size=batch_size,
        encoder=network,
        probes=False,
        accelerator=accelerator,
        precision=precision,
    )
    data = random_data(network, batch_size)
    pairs = [(method, method.default_fusion()) for method in others]
    fusions = sorted({fusion for _, fusion in pairs} - {LATE})
    pairs = [(methods.create(BASELINE), fusion) for fusion in (LATE, *fusions)] + pairs
    stopwatches = [
        _Stopwatch(method, data, replace(settings, fusion=fusion), clock, captured)
        for method, fusion in pairs
    ]
    turns, order = list(stopwatches), random.Random(0)
    for number in range(warm_up + rounds):
        order.shuffle(turns)  # so that no method always follows the same other
        for stopwatch in turns:
            stopwatch.step(counts=number >= warm_up)
        on_round()
    return [stopwatch.timing for stopwatch in stopwatches], stopwatches[0].run.device


class _Stopwatch:
    """A method with its run and its batch, ready to take steps that are timed."""

    def __init__(
        self,
        method: Method,
        data: Dataset,
        settings: Settings,
        clock: Clock,
        captured: bool = False,
    ) -> None:
        self.run = run = TrainingRun(method, data, settings)
        self.clock = time.perf_counter if clock == "wall" else time.process_time
        run.method.setup(run)
        run.optimizer = run.new_optimizer([run.model, run.method])
        run.model.train()
        run.method.train()
        run.method.begin_epoch(run)
        self.batch = next(iter(run.batches(run.method.samples(run))))
        self.timing = Timing(method.name, method.hyper, settings.fusion)
        self.marks: list[Any] = []  # when the step began, its parts ended, and it ended
        self.take = partial(run.steps.take if captured else run.method.step, run)
        self.has_parts = type(run.method).step is Method.step and not captured
        if self.has_parts:
            self._mark_parts()

    def _mark_parts(self) -> None:
        """From now on set a mark after the forward pass and one before the optimizer."""
        forward = self.run.method.forward_pass

        def marked(*given: Any) -> Any:
            out = forward(*given)
            self._mark()
            return out

        self.run.method.forward_pass = marked  # type: ignore[method-assign,assignment]
        self.run.optimizer.register_step_pre_hook(lambda *_: self._mark())

    def step(self, counts: bool) -> None:
        """Take one step, and note how long it and its parts took if it `counts`."""
        self.marks.clear()
        self._mark()
        self.take(self.batch)
        self._mark()
        if self._on_cuda:
            torch.cuda.synchronize(self.run.device)
        if not counts:
            return
        seconds = self.timing.seconds
        seconds[STEP].append(self._between(self.marks[0], self.marks[-1]))
        if self.has_parts:
            for part, (start, end) in zip(PARTS_OF_A_STEP, pairwise(self.marks), strict=True):
                seconds[part].append(self._between(start, end))

    @property
    def _on_cuda(self) -> bool:
        return self.run.device.type == "cuda"

    def _mark(self) -> None:
        if self._on_cuda:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self.marks.append(event)
        else:
            self.marks.append(self.clock())

    def _between(self, start: Any, end: Any) -> float:
        """Seconds between two marks."""
        if self._on_cuda:
            return float(start.elapsed_time(end)) / 1e3
        return float(end - start)


def baseline_of(timings: Sequence[Timing], fusion: str = LATE) -> Timing:
    """The timing of joint training in a network."""
    return next(one for one in timings if (one.method, one.fusion) == (BASELINE, fusion))


def timing_rows(timings: Sequence[Timing]) -> list[tuple[str, ...]]:
    """The cells of a table with :data:`HEADER`, a row per method."""
    rows: list[tuple[str, ...]] = []
    for timing in timings:
        baseline = baseline_of(timings, timing.fusion)
        step, gradient = (_cells(timing, part, baseline) for part in (STEP, "gradient"))
        rows.append((_title(timing), *step, *gradient))
    return rows


def _cells(timing: Timing, part: str, baseline: Timing) -> tuple[str, str]:
    """Median of a part in ms, and its ratio to the baseline with quartiles."""
    seconds, ratio = timing.quartiles(part), timing.quartiles(part, baseline)
    if seconds is None or ratio is None:
        return "-", "-"
    low, middle, high = (f"{value:.3f}" for value in ratio)
    return f"{1e3 * seconds[1]:.2f}", f"{middle} ({low}-{high})"


def _title(timing: Timing) -> str:
    """The method's name, then the hyper-parameters that are not at their defaults."""
    defaults = methods.create(timing.method).hyper
    words = [timing.method, *([] if timing.fusion == LATE else [f"({timing.fusion})"])]
    for name, value in timing.hyper.items():
        if value != defaults.get(name):
            words.append(f"{name}={value}")
    return " ".join(words)


def timing_markdown(timings: Sequence[Timing], caption: str) -> str:
    """The table of :func:`timing_rows` as Markdown, below its caption."""
    lines = [HEADER, ("---", *["---:"] * (len(HEADER) - 1)), *timing_rows(timings)]
    return caption + "\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
