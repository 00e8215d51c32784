"""Crops and flips: where they come from, what they do, and that a run can be repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mimo_sim as ms
from mimo_sim.training import Settings, train
from mimo_sim.training._augment import _bands, _maps, augmented, masked, masked_places, uniform
from mimo_sim.training.loop import TrainingRun


def test_the_numbers_are_uniform_and_unrelated() -> None:
    x = uniform(12345, torch.arange(20_000), 5)
    assert x.min() >= 0
    assert x.max() < 1
    # standard errors: 0.002 of a mean, 0.007 of a correlation, 0.5 % of a tenth of the numbers
    np.testing.assert_allclose(x.mean(0), 0.5, atol=0.01)
    following = torch.cat([x[:-1], x[1:], uniform(12346, torch.arange(19_999), 5)], 1)
    related = torch.corrcoef(following.T) - torch.eye(15)
    assert related.abs().max() < 0.04
    tenths = (x * 10).long().flatten().bincount() / x.numel()
    np.testing.assert_allclose(tenths, 0.1, atol=0.005)
    subset = torch.tensor([7, 3, 19_999])
    assert torch.equal(uniform(12345, subset, 5), x[subset])


def test_a_crop_lies_in_the_picture_and_has_the_stated_size() -> None:
    maps = _maps(uniform(0, torch.arange(5000), 5))
    corners = maps @ torch.tensor([[-1.0, 1, -1, 1], [-1, -1, 1, 1], [1, 1, 1, 1]]).double()
    assert corners.abs().max() <= 1 + 1e-12
    width, height = maps[:, 0, 0].abs(), maps[:, 1, 1]
    area = width * height
    assert area.min() > 0.07
    assert area.max() <= 1
    whole = (width < 1) & (height < 1)
    aspect = (width / height)[whole]
    assert aspect.min() > 0.75 - 1e-9
    assert aspect.max() < 4 / 3 + 1e-9
    assert (maps[:, 0, 0] < 0).double().mean() == pytest.approx(0.5, abs=0.03)


def ramp(batch: int, frames: int = 2, size: int = 16) -> torch.Tensor:
    """Videos whose colours are the place: across, down, and a constant."""
    place = (torch.arange(size) + 0.5) / size
    across, down = place.expand(size, size), place[:, None].expand(size, size)
    return torch.stack([across, down, torch.ones(size, size)])[None, :, None].repeat(
        batch, 1, frames, 1, 1
    )


@pytest.mark.parametrize("kind", ["clip", "frame"])
def test_pictures_are_cropped_and_flipped_and_sounds_are_not(kind: str) -> None:
    index = torch.arange(40)
    video, sound = ramp(40), torch.randn(40, 1, 16, 16)
    made, heard = augmented([video, sound], index, kind, 0, 3, 0)
    assert heard is sound
    assert made.shape == video.shape
    torch.testing.assert_close(made[:, 2], video[:, 2])  # nothing from outside the picture
    across, down = made[:, 0].diff(dim=3), made[:, 1].diff(dim=2)
    inside = across[..., 2:-2]  # the border repeats half a pixel
    torch.testing.assert_close(inside, inside[..., :1, :1].expand_as(inside), atol=1e-5, rtol=0)
    assert (across.mean((2, 3)) < 0).any()  # mirrored
    assert (across.mean((2, 3)) > 0).any()  # or not
    assert (down.mean((2, 3)) > 0).all()  # never upside down
    alike = torch.isclose(made[:, :, 0], made[:, :, 1]).flatten(1).all(1)
    assert alike.all() if kind == "clip" else not alike.any()
    assert made[0].ne(made[1]).any()
    (picture,) = augmented([video[:, :, 0]], index, kind, 0, 3, 0)
    if kind == "clip":
        torch.testing.assert_close(picture, made[:, :, 0])


def test_draws_depend_on_seed_epoch_pass_and_sample_only() -> None:
    video, index = ramp(6), torch.tensor([4, 9, 2, 7, 0, 30])
    (whole,) = augmented([video], index, "frame", 1, 2, 3)
    parts = [augmented([video[a:b]], index[a:b], "frame", 1, 2, 3)[0] for a, b in ((0, 1), (1, 6))]
    assert torch.equal(torch.cat(parts), whole)
    for other in ((0, 2, 3), (1, 0, 3), (1, 2, 0)):
        assert not torch.allclose(augmented([video], index, "frame", *other)[0], whole)


def test_masks_hide_bands_and_leave_the_rest() -> None:
    sound, index = torch.randn(400, 1, 40, 50), torch.arange(400)
    other = torch.randn(400, 1, 40, 50)
    made, same = masked([sound, other], index, [0], 3, 1, 0)
    assert same is other
    hidden = made != sound
    mean = sound.mean((1, 2, 3), keepdim=True).expand_as(sound)
    assert torch.equal(made[hidden], mean[hidden])
    rows, columns = hidden.all(3)[:, 0], hidden.all(2)[:, 0]
    assert torch.equal(hidden[:, 0], rows[:, :, None] | columns[:, None, :])  # nothing but bands
    assert rows.sum(1).max() <= 2 * int(40 * 27 / 80)
    assert columns.sum(1).max() <= 2 * 10
    starts = rows.diff(dim=1, prepend=torch.zeros(400, 1, dtype=torch.bool)) & rows
    assert starts.sum(1).max() <= 2
    assert rows.any(0).all()  # every frequency is hidden in some sample
    assert columns.any(0).all()


def test_widths_of_masks_are_uniform() -> None:
    numbers = uniform(0, torch.arange(20_000), 2).view(20_000, 1, 2)
    widths = _bands(numbers, 80, 27 / 80).sum(1)
    shares = widths.bincount() / len(widths)
    assert len(shares) == 28  # 0 to 27
    np.testing.assert_allclose(shares, 1 / 28, atol=0.006)  # four standard errors, 0.0013 each


def test_masks_depend_on_seed_epoch_pass_and_sample_only() -> None:
    sound, index = torch.randn(6, 1, 16, 20), torch.tensor([4, 9, 2, 7, 0, 30])
    (whole,) = masked([sound], index, [0], 1, 2, 3)
    parts = [masked([sound[a:b]], index[a:b], [0], 1, 2, 3)[0] for a, b in ((0, 1), (1, 6))]
    assert torch.equal(torch.cat(parts), whole)
    for drawn in ((0, 2, 3), (1, 0, 3), (1, 2, 0)):
        assert not torch.equal(masked([sound], index, [0], *drawn)[0], whole)


def test_masks_go_to_spectrograms_that_are_named() -> None:
    shapes = {"audio": (1, 20, 30), "note": (5,), "face": (3, 8, 8)}
    assert masked_places(None, shapes) == []
    assert masked_places("audio", shapes) == [0]
    with pytest.raises(ValueError, match=r"`masks` must be one of .*Got masks='sound'"):
        masked_places("sound", shapes)
    for name in ("note", "face"):
        with pytest.raises(ValueError, match=f"spectrograms .* Got '{name}' with the shape"):
            masked_places(name, shapes)
    with pytest.raises(TypeError, match="`masks` must be names of modalities"):
        Settings(1, masks=3)  # type: ignore[arg-type]


def test_training_sees_masks_and_evaluation_does_not() -> None:
    rng = np.random.default_rng(0)
    sounds = rng.normal(size=(60, 1, 12, 12))
    y = rng.integers(0, 2, 60)
    made = ms.datasets.from_arrays({"audio": sounds, "note": rng.normal(size=(60, 3))}, y)
    options = Settings(1, masks="audio", **SETTINGS)
    run = TrainingRun(ms.methods.create("vanilla"), made, options)
    run.epoch = 0
    for batch in run.batches():
        plain = run.inputs(run.train, batch.index).inputs
        assert not torch.equal(batch.inputs[0], plain[0])
        assert torch.equal(batch.inputs[1], plain[1])
    for batch in run.evaluation_batches(run.train):
        assert torch.equal(batch.inputs[0], run.inputs(run.train, batch.index).inputs[0])
    assert options.described()["masks"] == "audio"
    assert "masks" not in Settings(1).described()


def data() -> ms.datasets.Dataset:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    pictures = rng.normal(size=(60, 3, 8, 8)) + y[:, None, None, None]
    return ms.datasets.from_arrays({"face": pictures, "note": rng.normal(size=(60, 3))}, y)


SETTINGS: dict[str, Any] = {"width": 4, "batch_size": 16, "probes": False, "accelerator": "cpu"}


def test_training_sees_crops_and_evaluation_does_not(tmp_path: Path) -> None:
    made = data()
    run = TrainingRun(ms.methods.create("vanilla"), made, Settings(1, augment="clip", **SETTINGS))
    run.epoch = 0
    for batch in run.batches():
        plain = run.inputs(run.train, batch.index).inputs
        assert not torch.allclose(batch.inputs[0], plain[0])
        assert torch.equal(batch.inputs[1], plain[1])
    for batch in run.evaluation_batches(run.train):
        assert torch.equal(batch.inputs[0], run.inputs(run.train, batch.index).inputs[0])

    calls: list[int] = []

    def kill(done: int) -> None:
        calls.append(done)
        if len(calls) == 3:
            raise KeyboardInterrupt

    options = {"epochs": 4, "augment": "frame", **SETTINGS}
    whole = train("mimo", made, folder=tmp_path / "a", **options)
    with pytest.raises(KeyboardInterrupt):
        train("mimo", made, folder=tmp_path / "b", on_epoch=kill, **options)
    resumed = train("mimo", made, folder=tmp_path / "b", **options)
    for one, other in zip(
        whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    without = train("mimo", made, **options | {"augment": "none"})
    assert without.table[-1]["train_loss"] != whole.table[-1]["train_loss"]
    with pytest.raises(ValueError, match=r"`augment` must be one of .*Got augment='crop'"):
        Settings(1, augment="crop")  # type: ignore[arg-type]
