"""What every method promises: it is reproducible, can be resumed, and can be switched off."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mimo_sim import methods
from mimo_sim.datasets._data import Dataset, Split
from mimo_sim.training import TrainingRun
from tests.methods.helpers import (
    StopError,
    body,
    fitted,
    images_and_vectors,
    noisy_means,
    same,
    same_state,
    started,
    trained,
)

SEEDED = (
    "agm",
    "g_blending",
    "linear_scalarization",
    "mimo",
    "mmcosine",
    "ogm",
    "ogm_ge",
    "unimodal",
)
RESUMED: list[tuple[str, dict[str, Any]]] = [
    ("amco", {"sigma": 0.34}),
    ("amco", {"mask_on": "logits", "sigma": 0.34}),
    ("amss", {}),
    ("amss_plus", {}),
    ("arl", {"warm_up": 1}),
    ("aug", {"width": 8}),
    ("cggm", {}),
    ("data_remixing", {"warm_up": 1}),
    ("dgl", {}),
    ("di_mml", {"start": 1, "stage_two": 1}),
    ("g2d", {"release": 2, "epochs": 1}),
    ("greedy", {"eps": 0.0}),
    ("greedy", {"rule": "random"}),
    ("lfm", {}),
    ("lfm", {"weight": "fitted", "match": "posterior"}),
    ("mlb", {}),
    ("mmpareto", {}),
    ("mgda", {}),
    ("mgda", {"scope": "global"}),
    ("mgda", {"normalisation": "loss+"}),
    ("pcgrad", {"scope": "global"}),
    ("cagrad", {}),
    ("opm", {"warm_up": 1}),
    ("mla", {}),
    ("mla", {"projection": "run"}),
    ("smv", {"warm_up": 1}),
    ("smv", {"warm_up": 1, "level": "modality", "subset": 0.5}),
    ("relearning", {"every": 1}),
    ("rollingq", {"rotations": 2}),
    ("tcmax", {}),
    ("umt", {"lam": 1.0, "epochs": 1}),
    ("pmr", {"rule": "clip"}),
    ("cml", {}),
    ("inforeg", {"threshold": -math.inf}),
    ("mbsd", {}),
    ("reconboost", {}),
]
IDS = [" ".join([name, *map(str, hyper.values())]) for name, hyper in RESUMED]


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("name", SEEDED)
def test_training_is_reproducible_and_learns(name: str, k: int) -> None:
    hyper: dict[str, Any] = {"super_epoch": 2} if name == "g_blending" else {}
    first, second = (fitted(name, images_and_vectors(k), epochs=5, **hyper) for _ in range(2))
    assert same_state(first.model, second.model)
    assert first.table[-1]["train_loss"] < first.table[0]["train_loss"]
    assert without_seconds(first.table)[-1] == without_seconds(second.table)[-1]


def without_seconds(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in table]


@pytest.mark.parametrize(("name", "hyper"), RESUMED, ids=IDS)
def test_same_seed_same_bytes_and_a_stopped_run_continues(
    name: str, hyper: dict[str, Any], tmp_path: Path
) -> None:
    dataset = noisy_means(methods.get(name).max_modalities or 3)
    whole = trained(methods.create(name, **hyper), dataset)
    assert len(whole.table) == 3
    plain = trained(methods.create("vanilla"), dataset, fusion=whole.settings.fusion)
    assert not same_state(whole.model, plain.model)

    def stop(_: int) -> None:
        if len(stopped.table) == 2:
            raise StopError

    torch.manual_seed(12345)  # the global stream must not matter
    stopped = TrainingRun(methods.create(name, **hyper), dataset, whole.settings)
    with pytest.raises(StopError):
        stopped.fit(tmp_path, stop)
    again = TrainingRun(methods.create(name, **hyper), dataset, whole.settings)
    again.fit(tmp_path)
    assert same_state(whole.model, again.model)
    assert same_state(whole.method, again.method)
    assert repr(without_seconds(whole.table)) == repr(without_seconds(again.table))


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("mimo", {"lam": 0.0}),
        ("mimo", {"lam": 0.0, "heads": "plain"}),
        ("mimo", {"lam": 0.0, "normalise": True, "gap": "relative"}),
        ("mimo", {"lam": 0.0, "f_star": "reference"}),
        ("mimo", {"lam": 0.0, "f_star": "validation"}),
        ("linear_scalarization", {"weight": 0.0}),
        ("linear_scalarization", {"weight": (0.0, 0.0)}),
        ("ogm", {"alpha": 0.0}),
        ("ogm", {"window": (7, 9)}),
        ("ogm_ge", {"alpha": 0.0}),
        ("ogm_ge", {"window": (7, 9)}),
        ("agm", {"alpha": 0.0}),
        ("agm", {"window": (7, 9)}),
        ("g_blending", {"weights": (0.0, 0.0, 1.0)}),
        ("g_blending", {"window": (7, 9)}),
    ],
)
def test_switched_off_it_is_joint_training_bit_for_bit(name: str, off: dict[str, Any]) -> None:
    assert same(body(fitted(name, **off)), body(fitted("vanilla")))


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("opm", {"q_base": 0.0}),
        ("opm", {"p_exe": 0.0}),
        ("opm", {"warm_up": 3}),
        ("smv", {"warm_up": 3}),
        ("smv", {"level": "modality", "alpha": 0.0, "warm_up": 0}),
        ("relearning", {"lam": 0.0, "every": 1}),
        ("relearning", {"times": 0, "every": 1}),
        ("umt", {"lam": 0.0}),
        ("pmr", {"alpha": 0.0}),
        ("pmr", {"window": (5, 6)}),
        ("inforeg", {"threshold": math.inf}),
    ],
)
def test_switched_off_even_the_heads_are_those_of_joint_training(
    name: str, hyper: dict[str, Any]
) -> None:
    dataset = noisy_means()
    assert same_state(
        trained(methods.create("vanilla"), dataset).model,
        trained(methods.create(name, **hyper), dataset).model,
    )


@pytest.mark.parametrize("name", SEEDED)
def test_switched_on_it_is_not_joint_training(name: str) -> None:
    assert not same(body(fitted(name)), body(fitted("vanilla")))


# ---------------------------------------------------------------------------- regression


@pytest.mark.parametrize(
    "name", ["ogm", "ogm_ge", "agm", "mmcosine", "opm", "mla", "smv", "relearning"]
)
def test_what_needs_classes_refuses_regression(name: str) -> None:
    with pytest.raises(ValueError, match=f"method '{name}' is defined for classification"):
        started(name, images_and_vectors(task="regression"))


@pytest.mark.parametrize("name", ["mimo", "linear_scalarization", "unimodal", "g_blending"])
def test_the_others_do_regression(name: str) -> None:
    run = fitted(name, images_and_vectors(task="regression"), epochs=4)
    assert run.table[-1]["validation_loss"] < run.table[0]["validation_loss"]


def test_gradient_methods_do_regression() -> None:
    given = noisy_means()
    splits = [
        Split(split.inputs, nn.functional.one_hot(split.target, 3).float())
        for split in (given.train, given.validation, given.test)
    ]
    train, validation, test = splits
    data = Dataset("line", given.modalities, train, validation, test, task="regression")
    run = trained(methods.create("mmpareto"), data)
    assert run.table[-1]["train_loss"] < run.table[0]["train_loss"]
