"""What a balancing method costs: time of one step, method beside method, as ratios to joint training measured in the same run."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, TypeAlias, get_args

import torch

from mimo_sim import methods
from mimo_sim.datasets._data import Dataset, Modality, Split
from mimo_sim.methods._base import Method
from mimo_sim.training import Settings, TrainingRun

Network: TypeAlias = Literal["lenet", "resnet18"]
Clock: TypeAlias = Literal["wall", "processor"]
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "lenet": {"image": (1, 28, 28), "audio": (1, 112, 112)},  # AV-MNIST
    "resnet18": {
        "audio": (1, 257, 188),
        "frames": (3, 3, 224, 224),
    },  # CREMA-D: log-spectrogram of 3 s; three face frames (C, T, H, W)
}
CLASSES = {"lenet": 10, "resnet18": 6}
PARTS = ("step", "forward", "gradient", "optimizer")


@dataclass
class Timing:
    """Seconds of a method's steps, by part, one entry per round.

    ``step`` is the whole step from batch to updated weights. It is made of ``forward`` (encoders and fusion, with what the method does to
    features), ``gradient`` (the sub-routine: objective, heads, backward passes, weights, modulation) and ``optimizer``. The parts are empty for methods
    with a step of their own.
    """

    method: str
    hyper: dict[str, Any]
    seconds: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})

    def quartiles(
        self, part: str = "step", baseline: Timing | None = None
    ) -> tuple[float, float, float] | None:
        """Lower quartile, median and upper quartile of a part's seconds, or of its ratio to the baseline's in the same round."""
        values = self.seconds[part]
        if baseline is not None:
            values = [
                mine / other
                for mine, other in zip(values, baseline.seconds[part], strict=bool(values))
            ]
        if not values:
            return None
        low, middle, high = (
            statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        )
        return low, middle, high


def random_data(network: Network, batch_size: int, seed: int = 0) -> Dataset:
    """One batch of standard normal inputs with random classes, in the shapes that the network is timed on."""
    generator = torch.Generator().manual_seed(seed)
    inputs = tuple(
        torch.randn(batch_size, *shape, generator=generator) for shape in SHAPES[network].values()
    )
    split = Split(inputs, torch.randint(CLASSES[network], (batch_size,), generator=generator))
    modalities = tuple(Modality(name, shape) for name, shape in SHAPES[network].items())
    return Dataset(
        f"random-{network}",
        modalities,
        split,
        split,
        split,
        classes=tuple(map(str, range(CLASSES[network]))),
    )


def measure(
    candidates: Sequence[Method],
    network: Network = "lenet",
    *,
    rounds: int = 50,
    warm_up: int = 5,
    batch_size: int = 64,
    clock: Clock = "wall",
    accelerator: str = "auto",
    precision: Literal["32-true", "bf16-mixed"] = "32-true",
    on_round: Callable[[], None] = lambda: None,
) -> tuple[list[Timing], torch.device]:
    """Time steps of all methods in random turn, round by round, every method on its own copy of one network and the same random batch.

    Parameters
    ----------
    candidates : sequence of Method
        Joint training is put in front.
    network : {"lenet", "resnet18"}
        Encoders, and the input shapes: AV-MNIST, or CREMA-D.
    rounds, warm_up : int
        Rounds that count, >= 1, and rounds before them, >= 0.
    batch_size : int
    clock : {"wall", "processor"}
        Elapsed time; or processor time of this process, for CPUs that others use too. On CUDA it is always elapsed time between events.
    accelerator, precision : str
        As in :class:`~mimo_sim.training.Settings`.

    Returns
    -------
    list of Timing, torch.device

    Raises
    ------
    ValueError
        For an unknown network or clock, or no rounds.
    """
    for name, value, allowed in (
        ("network", network, get_args(Network)),
        ("clock", clock, get_args(Clock)),
    ):
        if value not in allowed:
            raise ValueError(f"`{name}` must be one of {allowed}. Got {value!r}.")
    for name, number, least in (("rounds", rounds, 1), ("warm_up", warm_up, 0)):
        if number < least:
            raise ValueError(f"`{name}` must be >= {least}. Got {number}.")
    candidates = [
        methods.create("vanilla"),
        *(method for method in candidates if method.name != "vanilla"),
    ]
    settings = Settings(
        epochs=1,
        batch_size=batch_size,
        encoder=network,
        probes=False,
        accelerator=accelerator,
        precision=precision,
    )
    data = random_data(network, batch_size)
    timed = [_Stopwatch(method, data, settings, clock) for method in candidates]
    turns, order = list(timed), random.Random(0)
    for number in range(warm_up + rounds):
        order.shuffle(turns)  # so that no method always follows the same other
        for one in turns:
            one.step(counts=number >= warm_up)
        on_round()
    return [one.timing for one in timed], timed[0].run.device


class _Stopwatch:
    """A run that is set up, its batch, and marks set between the parts of a step."""

    def __init__(self, method: Method, data: Dataset, settings: Settings, clock: Clock) -> None:
        self.run = run = TrainingRun(method, data, settings)
        self.clock = time.perf_counter if clock == "wall" else time.process_time
        run.method.setup(run)
        run.optimizer = run.new_optimizer([run.model, run.method])
        run.model.train()
        run.method.train()
        run.method.begin_epoch(run)
        self.batch = next(iter(run.batches(run.method.samples(run))))
        self.timing = Timing(method.name, method.hyper)
        self.marks: list[Any] = []
        self.whole = type(run.method).step is not Method.step
        if not self.whole:
            forward = run.method.forward_pass

            def marked(*given: Any) -> Any:
                out = forward(*given)
                self.mark()
                return out

            run.method.forward_pass = marked  # type: ignore[method-assign,assignment]
            run.optimizer.register_step_pre_hook(lambda *_: self.mark())

    def mark(self) -> None:
        if self.run.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self.marks.append(event)
        else:
            self.marks.append(self.clock())

    def step(self, counts: bool) -> None:
        self.marks.clear()
        self.mark()
        self.run.method.step(self.run, self.batch)
        self.mark()
        if self.run.device.type == "cuda":
            torch.cuda.synchronize(self.run.device)
        if not counts:
            return
        self.timing.seconds["step"].append(self._between(self.marks[0], self.marks[-1]))
        if not self.whole:
            for part, (start, end) in zip(PARTS[1:], pairwise(self.marks), strict=True):
                self.timing.seconds[part].append(self._between(start, end))

    @staticmethod
    def _between(start: Any, end: Any) -> float:
        return (
            float(start.elapsed_time(end)) / 1e3
            if isinstance(start, torch.cuda.Event)
            else end - start
        )


def rows(timings: Sequence[Timing]) -> list[tuple[str, ...]]:
    """Per method, ready to print: name, step in ms, its ratio to joint training with quartiles, and the same of the sub-routine."""
    baseline = next(one for one in timings if one.method == "vanilla")

    def pair(one: Timing, part: str) -> tuple[str, str]:
        seconds, ratio = one.quartiles(part), one.quartiles(part, baseline)
        if seconds is None or ratio is None:
            return "-", "-"
        low, middle, high = (f"{value:.3f}" for value in ratio)
        return f"{1e3 * seconds[1]:.2f}", f"{middle} ({low}-{high})"

    return [(_title(one), *pair(one, "step"), *pair(one, "gradient")) for one in timings]


def _title(one: Timing) -> str:
    """The method's name, with what is not at its default."""
    defaults = methods.create(one.method).hyper
    return " ".join(
        [
            one.method,
            *(f"{key}={value}" for key, value in one.hyper.items() if value != defaults.get(key)),
        ]
    )


CAPTION = (
    "Medians over rounds, ratios with quartiles; in every round all methods take a step in turn, and ratios are formed within it. "
    "Vanilla has no uni-modal heads. Sub-routine: from the end of the forward pass to the optimizer (objective, heads, backward passes, weights, modulation); "
    "- where a method has a step of its own. Work per epoch (valuations, clustering, training of branches) is not in it. "
    "Methods are as in their first epoch: inforeg does not act yet, reconboost trains one modality alone."
)
HEADER = ("method", "step (ms)", "to vanilla", "sub-routine (ms)", "to vanilla")


def markdown(timings: Sequence[Timing], caption: str) -> str:
    """A table with a caption."""
    lines = [HEADER, ("---", *["---:"] * (len(HEADER) - 1)), *rows(timings)]
    return caption + "\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
