"""Train connectors and adapters on the sums, and measure what was learned."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from mimo_sim.datasets._data import Task
from mimo_sim.errors import NonFiniteError
from mimo_sim.language.model import (
    MultimodalLanguageModel,
    load_language_model,
    tiny_language_model,
)
from mimo_sim.language.settings import TINY, LanguageSettings
from mimo_sim.language.task import BEST_ALONE, MODALITIES, Sums
from mimo_sim.language.words import WordTokenizer
from mimo_sim.methods.mimo import MIMOLoss
from mimo_sim.training.metrics import accuracy
from mimo_sim.training.probes import linear_probe

WARM_UP = 0.03  # share of the steps
EVALUATED = 500  # pairs at a time
CLASSES: Task = "classification"


def train_adapters(
    settings: LanguageSettings,
    data: Mapping[str, Sums],
    on_epoch: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Train once; the figures of the last epoch.

    Parameters
    ----------
    settings : LanguageSettings
    data : mapping
        ``"train"``, ``"validation"`` and ``"test"``, as :func:`mimo_sim.language.load_sums` makes
        them.
    on_epoch : function
        Called with 1 after every epoch.

    Returns
    -------
    dict of JSON types
        ``settings``; ``parameters``, how many were trained, in adapters and in connectors;
        ``epochs``, a row for each; and figures of ``validation`` and ``test``: ``accuracy``, the
        share of answers that greedy decoding gets right; ``loss``, nats per answer; ``alone``, the
        loss by modality where the other is absent; ``probe``, accuracy by modality of a linear
        probe of its encoder for its own digit.

    Raises
    ------
    NonFiniteError
        When the loss is inf or nan at the end of an epoch.
    """
    device = torch.device(settings.device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        model = build(settings, data["train"]).to(device)
        splits = {name: split.to(device) for name, split in data.items()}
        torch.manual_seed(settings.seed)  # dropout
        rows, seconds = _fit(model, settings, splits, on_epoch)
    figures = {name: measure(model, splits[name]) for name in ("validation", "test")}
    probes = probe(model, splits)
    for name, found in figures.items():
        found["probe"] = probes[name]
    trained = sum(p.numel() for p in model.trained())
    connectors = sum(p.numel() for p in model.connectors.parameters())
    return {
        "settings": settings.described(),
        "parameters": {"adapters": trained - connectors, "connectors": connectors},
        "sizes": {name: len(split) for name, split in data.items()},
        "seconds": seconds,
        "epochs": rows,
        **figures,
    }


def build(settings: LanguageSettings, train: Sums) -> MultimodalLanguageModel:
    """The model before its first step. Start weights depend on the seed alone."""
    if settings.model == TINY:
        language, tokenizer = copy.deepcopy(taught(settings.seed))
    else:
        language, tokenizer = load_language_model(settings.model, settings.dtype)  # type: ignore[assignment]
    torch.manual_seed(settings.seed)
    return MultimodalLanguageModel(
        language,
        tokenizer,
        [x.shape[1:] for x in train.inputs],
        adapter=settings.adapter,
        tokens=settings.tokens,
        rank=settings.rank,
        alpha=settings.alpha,
        dropout=settings.dropout,
        weight=settings.weight,
    )


@cache
def taught(seed: int) -> tuple[nn.Module, WordTokenizer]:
    """The tiny model of a seed; it is taught once per process."""
    return tiny_language_model(seed=seed)


def _fit(
    model: MultimodalLanguageModel,
    settings: LanguageSettings,
    splits: Mapping[str, Sums],
    on_epoch: Callable[[int], None],
) -> tuple[list[dict[str, float]], float]:
    """Every step; a row for each epoch, and the seconds of the steps."""
    train, rows, seconds = splits["train"], [], 0.0
    order = torch.Generator().manual_seed(settings.seed)
    parameters = model.trained()
    optimizer = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=0.0)
    per_epoch = math.ceil(len(train) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate(step, per_epoch * settings.epochs)
    )
    penalty = MIMOLoss(lam=settings.lam, mu=settings.mu, f_star=BEST_ALONE).to(train.digits.device)
    for epoch in range(settings.epochs):
        model.train()
        start, total = time.perf_counter(), torch.zeros((), device=train.digits.device)
        for index in torch.split(torch.randperm(len(train), generator=order), settings.batch_size):
            batch = train.take(index.to(train.digits.device))
            joint, loss = objective(model, settings, penalty, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            total += joint.detach() * len(batch)
        seen = measure(model, splits["validation"], alone=False)
        row = {"train_loss": float(total) / len(train)}
        seconds += time.perf_counter() - start
        row |= {f"validation_{key}": seen[key] for key in ("loss", "accuracy")}
        if not math.isfinite(row["train_loss"]):
            raise NonFiniteError(
                f"training diverged in epoch {epoch} (counted from 0): the loss is "
                f"{row['train_loss']}. Try a smaller lr than {settings.lr}.",
                epoch,
            )
        rows.append(row)
        on_epoch(1)
    return rows, seconds


def objective(
    model: MultimodalLanguageModel, settings: LanguageSettings, penalty: MIMOLoss, batch: Sums
) -> tuple[Tensor, Tensor]:
    """The joint loss, and what is minimised; both 0-dim."""
    _, tokens = model.read(batch.inputs)
    joint = model.losses(tokens, batch.totals)[0].mean()
    if settings.objective == "joint":
        return joint, joint
    alone = torch.stack(
        [model.losses(tokens, batch.totals, [k])[0].mean() for k in range(len(MODALITIES))]
    )
    if settings.objective == "scalarization":
        return joint, joint + settings.lam / len(MODALITIES) * alone.sum()
    return joint, penalty(joint, alone)


def rate(step: int, steps: int) -> float:
    """Share of the largest learning rate at a step: up along a line, then down half a cosine."""
    rising = max(1, round(WARM_UP * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


@torch.no_grad()
def measure(model: MultimodalLanguageModel, split: Sums, alone: bool = True) -> dict[str, Any]:
    """Accuracy and loss of the answers, and the loss of each modality alone."""
    model.eval()
    views: dict[str, list[int] | None] = {"": None}
    if alone:
        views |= {name: [k] for k, name in enumerate(MODALITIES)}
    loss, right = dict.fromkeys(views, 0.0), 0.0
    for index in torch.split(torch.arange(len(split), device=split.digits.device), EVALUATED):
        batch = split.take(index)
        _, tokens = model.read(batch.inputs)
        for name, present in views.items():
            each, hits = model.losses(tokens, batch.totals, present)
            loss[name] += float(each.sum()) / len(split)
            if present is None:
                right += float(hits.sum()) / len(split)
    found: dict[str, Any] = {"accuracy": right, "loss": loss.pop("")}
    return found | {"alone": loss} if alone else found


@torch.no_grad()
def probe(
    model: MultimodalLanguageModel, splits: Mapping[str, Sums]
) -> dict[str, dict[str, float]]:
    """What a linear probe of each encoder knows of its own digit, on validation and test."""
    model.eval()
    features: dict[str, list[Tensor]] = {}
    for name, split in splits.items():
        places = torch.split(torch.arange(len(split), device=split.digits.device), EVALUATED)
        parts = [model.read(split.take(index).inputs)[0] for index in places]
        features[name] = [torch.cat(pieces) for pieces in zip(*parts, strict=True)]
    found: dict[str, dict[str, float]] = {"validation": {}, "test": {}}
    for k, name in enumerate(MODALITIES):
        digits = {part: split.digits[:, k] for part, split in splits.items()}
        outputs = linear_probe(
            (features["train"][k], digits["train"]),
            (features["validation"][k], digits["validation"]),
            [features[part][k] for part in found],
            10,
            CLASSES,
        )
        for part, output in zip(found, outputs, strict=True):
            found[part][name] = accuracy(output, digits[part])
    return found
