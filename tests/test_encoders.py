"""Encoders: found by a scan, chosen by shape, and the published networks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mimo_sim.networks import encoders
from mimo_sim.networks.encoders import default_encoder, make_encoder


def test_encoders_are_chosen_by_shape() -> None:
    shapes = {
        (40,): "mlp",
        (1, 28, 28): "lenet",
        (1, 112, 112): "lenet",
        (1, 8, 12, 35): "frames",
        (20, 3): "gru",
        (1, 257, 188): "resnet18",
        (3, 2, 64, 64): "resnet18",
    }
    assert {shape: default_encoder(shape) for shape in shapes} == shapes


@pytest.mark.parametrize(("shape", "stride"), [((1, 28, 28), 1), ((1, 112, 112), 2)])
def test_lenet_is_the_published_network(shape: tuple[int, ...], stride: int) -> None:
    encoder = make_encoder(shape)
    convolutions = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size, c.stride) for c in convolutions] == [
        (8, (5, 5), (stride,) * 2),
        (16, (5, 5), (stride,) * 2),
    ]
    (linear,) = (m for m in encoder.modules() if isinstance(m, nn.Linear))
    assert (linear.in_features, linear.out_features) == (784, 64)
    plain = nn.Sequential()  # rectifier before the pooling, as usually written
    layers = list(encoder.body.children())
    for layer in (
        layers[0],
        layers[1],
        nn.ReLU(),
        layers[2],
        layers[4],
        layers[5],
        nn.ReLU(),
        layers[6],
        nn.Flatten(),
        linear,
        nn.ReLU(),
    ):
        plain.append(layer)
    x = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(encoder(x), plain(x))


def test_frames_are_the_channels_of_lenet() -> None:
    encoder = make_encoder((3, 4, 12, 16), width=8)
    picture = make_encoder((12, 12, 16), width=8)
    picture.load_state_dict(
        {name.replace("body.1.", "body."): value for name, value in encoder.state_dict().items()}
    )
    x = torch.randn(5, 3, 4, 12, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(encoder(x), picture(x.reshape(5, 12, 12, 16)))
    with pytest.raises(ValueError, match=r"'frames' needs inputs \(channels, frames, height, w"):
        make_encoder((3, 12, 16), "frames")


@pytest.mark.slow
def test_resnet18_takes_pictures_and_frames() -> None:
    pytest.importorskip("transformers")
    picture = make_encoder((1, 140, 140))
    assert picture.width == 512
    numbers = sum(p.numel() for p in make_encoder((3, 224, 224)).parameters())
    assert numbers == 11_176_512  # ResNet-18 without its classifier
    frames = make_encoder((3, 2, 32, 32), "resnet18").eval()
    x = torch.randn(2, 3, 2, 32, 32)
    one_by_one = torch.stack([frames(x[:, :, t]) for t in range(2)]).mean(0)
    torch.testing.assert_close(frames(x), one_by_one, rtol=1e-4, atol=1e-5)
    assert frames(x).shape == (2, 512)


@pytest.mark.parametrize(
    ("shape", "name", "error", "words"),
    [
        ((5,), "lenet", ValueError, r"'lenet' needs inputs \(channels, height, width\)"),
        ((1, 3, 8), "lenet", ValueError, "at least 4"),
        ((5,), "resnet18", ValueError, r"'resnet18' needs inputs .* Got shape \(5,\)"),
        ((5,), "convnext", ValueError, "`encoder` must be one of .*'mlp'.* Got 'convnext'"),
        (5, None, TypeError, "`shape` must be a tuple of integers. Got shape=5"),
        ((), None, TypeError, r"`shape` must be a tuple of integers. Got shape=\(\)"),
        ((5, 0), "mlp", ValueError, "`shape` must be >= 1. Got shape=0"),
    ],
)
def test_bad_encoders_are_refused(
    shape: Any, name: str | None, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        make_encoder(shape, name)


NEW = """
from torch import nn
from mimo_sim.networks import encoders
from mimo_sim.networks.encoders import Encoder

class Twice(Encoder):
    name = "{name}"

    def __init__(self, shape, width):
        super().__init__(nn.Linear(*shape, 2 * width), 2 * width)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules belong to the package of encoders for one test."""
    monkeypatch.setattr(encoders, "__path__", [*encoders.__path__, str(tmp_path)])
    encoders._registry.cache_clear()
    yield tmp_path
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(f"mimo_sim.networks.encoders.{path.stem}", None)
    encoders._registry.cache_clear()


def test_a_new_encoder_is_one_new_file(folder: Path) -> None:
    (folder / "mine_e1.py").write_text(NEW.format(name="twice"))
    (folder / "_helper_e1.py").write_text("1 / 0")  # not an encoder, so not imported
    assert "twice" in encoders.available()
    encoder = make_encoder((6,), "twice", 4)
    assert encoder(torch.ones(3, 6)).shape == (3, encoder.width) == (3, 8)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("1 / 0", r"the encoder in .*\.mine_e2 cannot be imported: ZeroDivisionError"),
        (NEW.format(name="mlp"), r"two encoders are called 'mlp', in .*\.mine_e2 and .*\.mlp: set"),
    ],
)
def test_faults_of_a_new_encoder_are_named(folder: Path, source: str, words: str) -> None:
    (folder / "mine_e2.py").write_text(source)
    with pytest.raises(ImportError, match=words):
        encoders.available()
