"""Own encoders, encoders named by modality, sequences with padding, and a callback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mimo_sim as ms
from mimo_sim.networks import make_encoder
from mimo_sim.training import Settings, train
from tests.networks import SETTINGS, tiny


class Half(nn.Module):
    """A user's encoder, which knows nothing of this package."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layer(x))


@pytest.mark.parametrize("method", ["vanilla", "mimo", "umt", "unimodal"])
def test_own_modules_are_trained_and_stay_as_they_were(method: str) -> None:
    own = Half()
    before = own.layer.weight.detach().clone()
    result = train(method, tiny(), epochs=8, encoders={"m1": own}, **SETTINGS)
    assert torch.equal(own.layer.weight, before)
    assert result.model.widths == (3, 8)
    trained = result.model.encoders[0].body
    assert isinstance(trained, Half)
    assert not torch.equal(trained.layer.weight, before)
    assert result.metrics["test"]["accuracy"] > 0.6


def test_a_function_makes_fresh_weights_for_each_seed() -> None:
    def start(seed: int) -> Tensor:
        options: dict[str, Any] = SETTINGS | {"lr": 1e-9, "seed": seed}
        result = train("vanilla", tiny(), epochs=1, encoders={"m1": Half}, **options)
        weight: Tensor = result.model.state_dict()["encoders.0.body.layer.weight"]
        return weight

    assert torch.equal(start(0), start(0))
    assert not torch.allclose(start(0), start(1), atol=1e-3)


def test_the_record_names_own_encoders(tmp_path: Path) -> None:
    train("vanilla", tiny(), epochs=1, folder=tmp_path, encoders={"m1": Half()}, **SETTINGS)
    config = ms.training.records.read_json(tmp_path / "config.json")
    assert "in_features=6, out_features=3" in config["encoders"]["m1"]


@pytest.mark.parametrize(
    ("encoders", "words"),
    [
        ([Half()], "`encoders` must be a mapping"),
        ({"m3": Half()}, r"`encoders` must be one of \('m1', 'm2'\). Got encoders='m3'"),
        ({"m1": "mlp"}, r"`encoders\['m1'\]` must be a torch.nn.Module .* Got 'mlp'"),
        ({"m1": dict}, r"`encoders\['m1'\]` must be a torch.nn.Module or a function"),
        ({"m2": Half()}, r"`encoders\['m2'\]` must take inputs \(B, 5\). It says: .*mat1"),
        ({"m1": nn.Unflatten(1, (2, 3))}, r"give features \(B, width\). .* \(2, 2, 3\)"),
    ],
)
def test_wrong_encoders_are_named(encoders: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        train("vanilla", tiny(), epochs=1, encoders=encoders, **SETTINGS)


def test_encoders_are_named_by_modality() -> None:
    for encoder in ({"b": "linear"}, "b=linear", " b = linear "):
        settings = Settings(1, encoder=encoder)
        assert settings.encoder_names(["a", "b"]) == [None, "linear"]
    assert Settings(1, encoder={"a": "mlp"}) == Settings(1, encoder="a=mlp")
    with pytest.raises(ValueError, match=r"`encoder` must be one of .*Got encoder='c'"):
        Settings(1, encoder="c=mlp").encoder_names(["a", "b"])
    with pytest.raises(ValueError, match="`encoder` names a modality twice"):
        Settings(1, encoder="a=mlp,a=gru").encoder_names(["a", "b"])
    with pytest.raises(ValueError, match="`encoder` must name one encoder"):
        Settings(1, encoder="a=mlp,mlp").encoder_names(["a", "b"])
    with pytest.raises(ValueError, match=r"`encoder` must be one of .*Got 'mpl'"):
        Settings(1, encoder="a=mpl")


def test_a_sequence_has_one_feature_however_it_is_padded() -> None:
    encoder = make_encoder((7, 3), width=5)
    assert encoder.name == "gru"
    short = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    behind, before, between = (torch.zeros(2, 7, 3) for _ in range(3))
    behind[:, :4], before[:, 3:], between[:, [0, 2, 5, 6]] = short, short, short
    expected = encoder.body.network(short)[0][:, -1]  # type: ignore[operator]
    for padded in (behind, before, between):
        torch.testing.assert_close(encoder(padded), expected)
    assert encoder(torch.zeros(2, 7, 3)).isfinite().all()
    assert not torch.allclose(encoder(short.flip(1)), encoder(short), atol=1e-3)


@pytest.mark.parametrize("training", [True, False])  # PyTorch has another path for evaluation
def test_the_transformer_does_not_see_padding_but_the_order(training: bool) -> None:
    encoder = make_encoder((7, 3), "transformer", width=8).train(training)
    short = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    behind, before, between = (torch.zeros(2, 7, 3) for _ in range(3))
    behind[:, :4], before[:, 3:], between[:, [0, 2, 5, 6]] = short, short, short
    with torch.set_grad_enabled(training):
        features = [encoder(padded) for padded in (behind, before, between)]
        body = encoder.body
        alone = body.blocks(body.enter(short) + body.place[:4]).mean(1)  # type: ignore[operator, index]
        empty = encoder(torch.zeros(2, 7, 3))
        turned = encoder(behind[:, [3, 2, 1, 0, 4, 5, 6]])
    for feature in features:
        torch.testing.assert_close(feature, alone)
    assert torch.equal(empty, torch.zeros(2, 8))
    assert not torch.allclose(turned, alone, atol=1e-3)


def test_the_patch_transformer_sees_where_a_patch_is() -> None:
    encoder = make_encoder((1, 12, 35), "patches", width=12).eval()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 1, 12, 35, generator=generator)
    assert encoder(x).shape == (3, 12)
    assert not torch.allclose(encoder(x), encoder(x.roll(5, 3)), atol=1e-4)
    for name, words in (
        ("patches", "channels, height, width"),
        ("gru", "steps, numbers"),
        ("transformer", "steps, numbers"),
    ):
        with pytest.raises(ValueError, match=rf"'{name}' needs inputs \({words}\)"):
            make_encoder((5,), name)


def test_the_callback_sees_every_epoch_once(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    result = train("vanilla", tiny(), epochs=3, callback=rows.append, folder=tmp_path, **SETTINGS)
    assert rows == result.table
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert {"train_loss", "validation_accuracy"} <= set(rows[0])
    options = SETTINGS | {"devices": 2}
    with pytest.raises(ValueError, match=r"`callback` needs `devices` = 1. Got devices=2"):
        train("vanilla", tiny(), epochs=1, callback=rows.append, **options)


@pytest.mark.parametrize("encoder", ["gru", "transformer"])
def test_encoders_of_sequences_learn_the_order_of_steps(encoder: str) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=300)
    steps = [rng.normal(size=(rng.integers(4, 9), 2)) for _ in labels]
    for step, label in zip(steps, labels, strict=True):
        step[0, 0], step[-1, 0] = (3, -3) if label else (-3, 3)  # the same numbers, turned round
    data = ms.datasets.from_arrays({"steps": steps, "noise": rng.normal(size=(300, 2))}, labels)
    assert data.modalities[0].shape == (8, 2)
    options: Any = {"width": 16, "optimizer": "adam", "encoder": f"steps={encoder}"}
    result = train("vanilla", data, epochs=15, lr=0.01, **options)
    assert result.metrics["test"]["accuracy"] > 0.9
