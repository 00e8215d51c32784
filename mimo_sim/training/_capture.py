"""Whole training steps as CUDA graphs: one launch for a step in place of some hundred.

A step of small networks is over before the next kernels are launched, so the device waits. A graph
holds all kernels of a step and launches them at once. It replays what one step did: the shapes, the
learning rate and every choice that Python made. So only methods that say so are captured
(``Method.capturable``), anew in every epoch, and only batches of the full size. Everything else
takes ordinary steps, and the record of the run says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from mimo_sim.methods._base import Method
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Batch, Forward
from mimo_sim.training.settings import Settings

WARM_UP = 3  # ordinary steps before the first capture: libraries and optimizer get their state

Recorder: TypeAlias = Callable[[Callable[[], Forward]], tuple[Forward, Callable[[], None]]]
"""Runs a step once without effect; gives its results, and a function that takes the step again."""


class SteppingRun(Run, Protocol):
    """What is used of a run."""

    method: Method
    settings: Settings


def refusal(run: SteppingRun) -> str:
    """Why the steps of a run cannot be captured; empty where they can."""
    method, settings = run.method, run.settings
    if run.device.type != "cuda":
        return f"the device is {run.device.type}"
    if run.num_processes > 1:
        return "several processes share a step"
    if not method.capturable or type(method).step is not Method.step:
        return f"method {method.name!r} decides on numbers in Python"
    if settings.optimizer != "sgd":
        return f"optimizer {settings.optimizer!r} counts its steps in Python"
    if settings.precision != "32-true":
        return f"precision {settings.precision} caches casts between steps"
    return ""


class Steps:
    """Takes the steps of a run.

    Parameters
    ----------
    run : TrainingRun
        It is looked at, not kept.
    record : callable
        Makes a graph of a step.

    Attributes
    ----------
    why_not : str
        Why steps are not captured; empty while they are.
    """

    def __init__(self, run: SteppingRun, record: Recorder | None = None) -> None:
        self.why_not = refusal(run)
        self.record = record or _Graphs()
        self.warm_up = WARM_UP
        self.captured: tuple[Batch, Forward, Callable[[], None]] | None = None

    def begin_epoch(self) -> None:
        """Forget the graph: rates, estimates and choices of the epoch before are in it."""
        self.captured = None

    def take(self, run: SteppingRun, batch: Batch) -> Forward:
        """One step of the run. What it gives is valid until the next one."""
        whole = len(batch.target) == run.settings.batch_size and batch.keep is None
        if self.why_not or not whole:
            return run.method.step(run, batch)
        if self.warm_up:
            self.warm_up -= 1
            return run.method.step(run, batch)
        if self.captured is None:
            try:
                self.captured = self._capture(run, batch)
            except RuntimeError as error:  # what cannot be in a graph, torch says here
                self.why_not = f"capture failed: {str(error).splitlines()[0]}"
                return run.method.step(run, batch)
        kept, out, replay = self.captured
        for old, new in zip(
            (*kept.inputs, kept.target, kept.index),
            (*batch.inputs, batch.target, batch.index),
            strict=True,
        ):
            old.copy_(new)
        replay()
        return out

    def _capture(self, run: SteppingRun, batch: Batch) -> tuple[Batch, Forward, Callable[[], None]]:
        """A graph of the step on a copy of the batch, whose memory it reads in every replay."""
        kept = Batch([x.clone() for x in batch.inputs], batch.target.clone(), batch.index.clone())
        owners = list(run.method.modules())
        before = [dict(owner._buffers) for owner in owners]

        def step() -> Forward:
            out = run.method.step(run, kept)
            _ = out.loss  # the loop asks for it
            for owner, buffers in zip(owners, before, strict=True):
                for name, value in buffers.items():
                    _write_back(owner._buffers, name, value)
            return out

        try:
            out, replay = self.record(step)
        except RuntimeError:
            for owner, buffers in zip(owners, before, strict=True):
                owner._buffers.update(buffers)
            raise
        return kept, out, replay


def _write_back(buffers: dict[str, Tensor | None], name: str, old: Tensor | None) -> None:
    """Put the new value of a buffer into its old memory, which the next replay reads.

    Raises
    ------
    RuntimeError
        If it changed its shape: then a replay would not take the same step again.
    """
    new = buffers[name]
    if new is old:
        return
    if old is None or new is None or new.shape != old.shape or new.dtype != old.dtype:
        raise RuntimeError(f"the buffer {name!r} changes its shape")
    old.copy_(new)
    buffers[name] = old


class _Graphs:
    """CUDA graphs, whose memory is shared from one to the next."""

    def __init__(self) -> None:
        self.pool: object | None = None

    def __call__(self, step: Callable[[], Forward]) -> tuple[Forward, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        if self.pool is None:
            self.pool = torch.cuda.graph_pool_handle()
        # Other threads read batches meanwhile; what they do must not end the capture.
        with torch.cuda.graph(graph, self.pool, capture_error_mode="thread_local"):  # type: ignore[arg-type]
            out = step()
        return out, graph.replay
