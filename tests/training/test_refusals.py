"""Bad settings, methods and data are refused by name; divergence is named."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from mimo_sim.errors import NonFiniteError
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Batch, Forward
from mimo_sim.methods.vanilla import Vanilla
from mimo_sim.training import Settings, train
from tests.networks import SETTINGS, new_run, tiny


def test_divergence_is_named() -> None:
    with pytest.raises(
        NonFiniteError,
        match=r"epoch 0 .*'vanilla'.*train_loss.*not finite.*Lower `lr` \(now 1e\+12\)",
    ) as caught:
        train("vanilla", tiny(), epochs=9, **(SETTINGS | {"lr": 1e12}))
    assert caught.value.epoch == 0


def test_bad_numbers_are_found_after_the_first_step() -> None:
    steps: list[int] = []

    class Poisoned(Vanilla):
        name = ""

        def step(self, run: Run, batch: Batch) -> Forward:
            steps.append(1)
            with torch.no_grad():
                run.model.fusion.weight.fill_(math.nan)
            return super().step(run, batch)

    with pytest.raises(NonFiniteError, match=r"epoch 0 .*the loss of the first step not finite"):
        train(Poisoned(), tiny(), epochs=2, **SETTINGS)
    assert len(steps) == 1


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"epochs": 0}, ValueError, r"`epochs` must be >= 1\. Got epochs=0"),
        ({"epochs": 1.5}, TypeError, "`epochs` must be an integer"),
        (
            {"epochs": 1, "momentum": 1.5},
            ValueError,
            r"`momentum` must be in \[0, 1\)\. Got momentum=1\.5",
        ),
        ({"epochs": 1, "batch_size": 0}, ValueError, "`batch_size` must be >= 1"),
        ({"epochs": 1, "lr": -1.0}, ValueError, "`lr` must be finite and > 0"),
        ({"epochs": 1, "lr": math.nan}, ValueError, "`lr` must be finite"),
        ({"epochs": 1, "momentum": -0.1}, ValueError, "`momentum` must be"),
        (
            {"epochs": 1, "optimizer": "sdg"},
            ValueError,
            r"`optimizer` must be one of \('sgd', 'adam', 'adamw'\)\. Got optimizer='sdg'",
        ),
        ({"epochs": 1, "schedule": "warm"}, ValueError, "`schedule` must be one of"),
        ({"epochs": 1, "precision": "16"}, ValueError, "`precision` must be one of"),
        (
            {"epochs": 1, "select": "test"},
            ValueError,
            r"`select` must be one of \('last', 'best'\)",
        ),
        (
            {"epochs": 1, "encoder": 3},
            TypeError,
            r"`encoder` must be a name, names joined by commas, .* or None\. Got encoder=3\.",
        ),
        (
            {"epochs": 1, "encoder": "mlp, resnet50"},
            ValueError,
            r"`encoder` must be one of .* Got 'resnet50'\. Did you mean 'resnet18' or",
        ),
        (
            {"epochs": 1, "accelerator": "cud"},
            ValueError,
            r"`accelerator` must be one of .* Got accelerator='cud'\. Did you mean 'cuda'",
        ),
        ({"epochs": 1, "seed": -1}, ValueError, "`seed` must be >= 0"),
        (
            {"epochs": 1, "batch_size": 15, "devices": 2},
            ValueError,
            "`batch_size` must be a multiple of `devices`",
        ),
    ],
)
def test_bad_settings_are_refused(
    settings: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Settings(**settings)


def test_integers_of_numpy_are_integers() -> None:
    assert Settings(epochs=np.int64(2)) == Settings(epochs=2)  # type: ignore[arg-type]


def test_bad_methods_data_and_encoders_are_refused() -> None:
    from dataclasses import replace

    class Two(Vanilla):
        name = ""
        max_modalities = 2
        min_modalities = 2

    with pytest.raises(ValueError, match="at most 2 modalities"):
        new_run(Two(), tiny(shapes=((2,), (2,), (2,))))
    with pytest.raises(ValueError, match="the validation split of 'tiny' must not be empty"):
        new_run(Vanilla(), replace(tiny(), validation=tiny().validation.take(torch.arange(0))))
    with pytest.raises(
        ValueError, match=r"`encoder` must name one encoder, one for each of \['m1', 'm2'\]"
    ):
        new_run(Vanilla(), encoder="mlp,mlp,mlp")
    with pytest.raises(ValueError, match="`encoder` must be one of"):
        new_run(Vanilla(), encoder="convnext")
    spaced, plain = (
        new_run(Vanilla(), encoder=names).model.encoders for names in ("mlp, mlp", "mlp,mlp")
    )
    assert str(spaced) == str(plain) != str(new_run(Vanilla(), encoder="linear").model.encoders)
    with pytest.raises(ValueError, match="`method` must be one of"):
        train("vanila", tiny(), epochs=1)
    with pytest.raises(TypeError, match="`method` must be a name or an object"):
        train(Vanilla, tiny(), epochs=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`dataset` must be what"):
        train("vanilla", "digits", epochs=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^`folder` must be a path or None\. Got folder=0\.$"):
        train("vanilla", tiny(), epochs=1, folder=0)  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_an_absent_device_is_named() -> None:
    with pytest.raises(
        ValueError,
        match=r"^`accelerator` must be 'auto' or 'cpu' here, because torch finds no cuda device\. "
        r"Got accelerator='cuda'\.$",
    ):
        train("vanilla", tiny(), **(SETTINGS | {"epochs": 1, "accelerator": "cuda"}))
