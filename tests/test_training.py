"""The trainer keeps its promises: same bytes for the same seed, nothing leaks between runs or from the test split, killed runs continue."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mimo_sim import methods
from mimo_sim.datasets._data import Modality
from mimo_sim.methods._run import Run
from mimo_sim.methods._step import Batch, Forward, Plan
from mimo_sim.methods.vanilla import Vanilla
from mimo_sim.networks.encoders import default_encoder, make_encoder
from mimo_sim.training import NonFiniteError, Settings, train
from mimo_sim.training.run import EVALUATION_NUMBERS
from tests.networks import SETTINGS, new_run, same, state, tiny, tiny_regression


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def without_seconds(table: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in table]


# ------------------------------------------------------------------------------------------ reproducibility


def test_same_seed_same_bytes_and_another_seed_other_bytes() -> None:
    first, again, other = (
        train("vanilla", tiny(), epochs=2, seed=seed, **SETTINGS) for seed in (3, 3, 4)
    )
    assert same(state(first), state(again))
    assert without_seconds(first.table) == without_seconds(again.table)
    assert first.metrics == again.metrics
    assert not same(state(first), state(other))


def test_runs_do_not_influence_each_other_nor_the_global_generator() -> None:
    alone = train("ogm_ge", tiny(), epochs=2, **SETTINGS)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    method = methods.create("ogm_ge")
    untouched = {key: value.clone() for key, value in method.state_dict().items()}
    train(method, tiny(seed=1), epochs=3, **(SETTINGS | {"lr": 0.2}))
    second = train(method, tiny(), epochs=2, **SETTINGS)
    assert torch.equal(before, torch.get_rng_state())
    assert same(state(alone), state(second))
    assert same(untouched, method.state_dict())


def test_the_order_of_samples_is_a_permutation_that_no_method_can_disturb() -> None:
    seen: list[list[int]] = []
    extra: list[int] = []

    class Greedy(Vanilla):
        name = ""

        def begin_epoch(self, run: Run) -> None:
            seen.append([])
            torch.rand(7, generator=run.generator)
            torch.rand(3)
            extra[:] = torch.cat([batch.index for batch in run.batches()]).tolist()

        def step(self, run: Run, batch: Batch) -> Forward:
            seen[-1].extend(batch.index.tolist())
            return super().step(run, batch)

    run = new_run(Greedy())
    run.fit()
    assert [sorted(order) for order in seen] == [list(range(72))] * 2
    assert seen[0] != seen[1]
    assert sorted(extra) == list(range(72))
    assert extra != seen[1]
    plain = new_run(Vanilla())
    plain.fit()
    assert same(state(plain), state(run))


def test_a_plan_says_what_is_trained_on() -> None:
    run = new_run(Vanilla(), width=4)
    keep = torch.arange(40).unsqueeze(1) % torch.tensor([[2, 3]]) == 0
    batches = list(run.batches(Plan(torch.arange(40) % 5, keep)))
    assert [len(batch.index) for batch in batches] == [16, 16, 8]
    index, kept = (
        torch.cat([b.index for b in batches]),
        torch.cat([b.keep for b in batches if b.keep is not None]),
    )
    assert index.bincount().tolist() == [8] * 5
    assert sorted(map(tuple, torch.cat([index[:, None], kept.long()], 1).tolist())) == sorted(
        (i % 5, int(i % 2 == 0), int(i % 3 == 0)) for i in range(40)
    )
    for batch in batches:
        assert torch.equal(batch.target, run.train.target[batch.index])
        assert torch.equal(batch.inputs[1], run.train.inputs[1][batch.index])


RESUMED = (
    "agm",
    "g_blending",
    "mimo",
    "ogm_ge",
)  # of what the tests of single methods do not resume


@pytest.mark.parametrize(
    "name",
    [
        name if name in RESUMED else pytest.param(name, marks=pytest.mark.slow)
        for name in methods.available()
    ],
)
def test_an_interrupted_run_continues_to_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiny()
    whole = train(name, data, epochs=3, **SETTINGS)
    cls, steps = methods.get(name), []
    real = cls.step

    def fragile(self: Any, run: Run, batch: Batch) -> Forward:
        steps.append(run.epoch)
        if run.epoch == 2 and steps.count(2) == 3:
            raise KeyboardInterrupt
        return real(self, run, batch)

    monkeypatch.setattr(cls, "step", fragile)
    with pytest.raises(KeyboardInterrupt):
        train(name, data, epochs=3, folder=tmp_path / "run", **SETTINGS)
    assert (tmp_path / "run" / "checkpoint.pt").is_file()
    resumed = train(name, data, epochs=3, folder=tmp_path / "run", **SETTINGS)
    assert same(state(whole), state(resumed))
    assert without_seconds(whole.table) == without_seconds(resumed.table)
    assert whole.metrics == resumed.metrics


def test_a_killed_process_leaves_a_run_that_continues_to_the_same_bytes(tmp_path: Path) -> None:
    script = """
import os, signal, sys, torch
torch.set_num_threads(1)
from mimo_sim.methods.mimo import MIMO
from mimo_sim.training import train
from tests.networks import SETTINGS, tiny
real, steps = MIMO.step, []
def step(self, run, batch):
    steps.append(1)
    if len(steps) == 13:  # five steps are an epoch
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, run, batch)
MIMO.step = step
train("mimo", tiny(), epochs=4, folder=sys.argv[1], **SETTINGS)
"""
    folder = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], cwd=Path(__file__).parent.parent, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert len(torch.load(folder / "checkpoint.pt", weights_only=True)["table"]) == 2
    (folder / f".checkpoint.{os.getpid()}.part.pt").write_bytes(
        b"half a file, as a kill during writing leaves it"
    )
    resumed, whole = (
        train("mimo", tiny(), epochs=4, folder=folder, **SETTINGS),
        train("mimo", tiny(), epochs=4, **SETTINGS),
    )
    assert same(state(whole), state(resumed))
    assert without_seconds(whole.table) == without_seconds(resumed.table)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "epochs.csv",
        "result.json",
    ]


# ------------------------------------------------------------------------------------------ several processes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mimo", "mmpareto"])
def test_two_processes_train_like_one_on_the_same_batches(name: str) -> None:
    data = tiny(train=64)  # whole batches, so both see the same ones
    one = train(name, data, epochs=3, **SETTINGS)
    two = train(name, data, epochs=3, devices=2, **SETTINGS)
    for key, value in state(one).items():
        torch.testing.assert_close(
            state(two)[key], value, rtol=1e-3, atol=1e-5
        )  # sums in another order, through 12 steps
    assert [row["train_loss"] for row in two.table] == pytest.approx(
        [row["train_loss"] for row in one.table], rel=1e-4
    )
    assert "MASTER_PORT" not in os.environ


# ------------------------------------------------------------------------------------------ the test split


def test_the_run_cannot_see_the_test_split_and_measures_it_once() -> None:
    data = tiny()
    run = new_run(Vanilla(), data)
    held = [value for value in vars(run).values() if isinstance(value, type(data.test))]
    assert len(held) == 2
    assert all(one is not data.test for one in held)
    with pytest.raises(RuntimeError, match="not finished"):
        run.test(data.test)
    run.fit()
    assert run.test(data.test)["test"]["samples"] == 33
    with pytest.raises(RuntimeError, match="measured once"):
        run.test(data.test)
    with pytest.raises(RuntimeError, match="finished"):
        run.fit()


@pytest.mark.parametrize("select", ["last", "best"])
def test_another_test_split_changes_the_test_figures_only(select: str) -> None:
    from dataclasses import replace

    data = tiny()
    other = replace(data, test=data.test.take(torch.arange(7)))
    first, second = (
        train("mimo", one, epochs=3, select=select, **SETTINGS) for one in (data, other)
    )
    assert same(state(first), state(second))
    assert without_seconds(first.table) == without_seconds(second.table)
    assert first.metrics["validation"] == second.metrics["validation"]
    assert (first.metrics["test"]["samples"], second.metrics["test"]["samples"]) == (33, 7)


def test_selection_takes_the_best_validation_epoch() -> None:
    result = train(
        "vanilla",
        tiny(),
        epochs=8,
        select="best",
        **(SETTINGS | {"lr": 0.8, "schedule": "constant"}),
    )
    accuracies = [row["validation_accuracy"] for row in result.table]
    assert result.metrics["selected_epoch"] == accuracies.index(max(accuracies))
    assert result.metrics["validation"]["accuracy"] == max(accuracies)
    assert min(accuracies) < max(accuracies)


def test_evaluation_sees_every_sample_once_and_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(EVALUATION_NUMBERS, "cpu", 256 * (8 * 8 + 5))
    data = tiny(train=300, shapes=((1, 8, 8), (5,)))
    run = new_run(Vanilla(), data)
    batches = list(run.evaluation_batches(data.train))
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(300))
    assert len(batches) == 2  # the last one is not full
    before = state(run)
    run.model.train()
    first, second = run.encode(data.train), run.encode(data.train)
    assert run.model.training
    assert all(module.training for module in run.model.modules())
    assert all(torch.equal(a, b) for a, b in zip(first.features, second.features, strict=True))
    assert same(before, state(run))
    assert not first.features[0].requires_grad


# ------------------------------------------------------------------------------------------ what can go wrong


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


def test_bad_methods_data_and_encoders_are_refused() -> None:
    from dataclasses import replace

    class Two(Vanilla):
        name = ""
        max_modalities = 2
        min_modalities = 2

    with pytest.raises(ValueError, match="at most 2 of modalities"):
        new_run(Two(), tiny(shapes=((2,), (2,), (2,))))
    with pytest.raises(ValueError, match="the validation split of 'tiny' must not be empty"):
        new_run(Vanilla(), replace(tiny(), validation=tiny().validation.take(torch.arange(0))))
    with pytest.raises(
        ValueError, match=r"`encoder` must name one encoder, or one for each of \['m1', 'm2'\]"
    ):
        new_run(Vanilla(), encoder="mlp,mlp,mlp")
    with pytest.raises(ValueError, match="`encoder` must be one of"):
        new_run(Vanilla(), encoder="transformer")
    spaced, plain = (
        new_run(Vanilla(), encoder=names).model.encoders for names in ("mlp, mlp", "mlp,mlp")
    )
    assert str(spaced) == str(plain) != str(new_run(Vanilla(), encoder="linear").model.encoders)
    with pytest.raises(ValueError, match="'lenet' needs inputs"):
        make_encoder(Modality("x", (5,)), "lenet")
    with pytest.raises(ValueError, match="at least 4"):
        make_encoder(Modality("x", (1, 3, 8)), "lenet")
    with pytest.raises(ValueError, match="`method` must be one of"):
        train("vanila", tiny(), epochs=1)
    with pytest.raises(TypeError, match="`method` must be a name or an object"):
        train(Vanilla, tiny(), epochs=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`dataset` must be what"):
        train("vanilla", "digits", epochs=1)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ the step


def test_the_loop_is_plain_sgd_on_the_joint_loss() -> None:
    """Vanilla against a loop written by hand, bit for bit: weights, momentum, decay, schedule, order."""
    data = tiny()
    run = new_run(Vanilla(), data, epochs=4)
    encoders = nn.ModuleList([make_encoder(m, None, 8) for m in data.modalities])
    encoders.load_state_dict(run.model.encoders.state_dict())
    fusion = nn.Linear(16, 3)
    fusion.load_state_dict(run.model.fusion.state_dict())
    optimizer = torch.optim.SGD(
        [*encoders.parameters(), *fusion.parameters()], lr=0.05, momentum=0.9, weight_decay=1e-4
    )
    orders: list[list[torch.Tensor]] = []
    for epoch in range(4):
        run.epoch = epoch
        orders.append([batch.index for batch in run._shuffled(None, 0)])
    for epoch, order in enumerate(orders):
        optimizer.param_groups[0]["lr"] = 0.05 if epoch < 3 else 0.005  # 0.7 * 4 = 2.8
        for index in order:
            features = [
                encoder(x[index]) for encoder, x in zip(encoders, data.train.inputs, strict=True)
            ]
            optimizer.zero_grad()
            nn.functional.cross_entropy(
                fusion(torch.cat(features, 1)), data.train.target[index]
            ).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    run.fit()
    assert same(encoders.state_dict(), run.model.encoders.state_dict())
    assert same(fusion.state_dict(), run.model.fusion.state_dict())


def test_learning_rate_schedules() -> None:
    assert [Settings(10, lr=1.0).rate(e) for e in (0, 6, 7, 9)] == [1.0, 1.0, 0.1, 0.1]
    assert [Settings(10, lr=2.0, schedule="constant").rate(e) for e in (0, 9)] == [2.0, 2.0]
    assert Settings(4, lr=1.0, schedule="cosine").rate(2) == pytest.approx(0.5)


def test_the_table_has_what_was_trained() -> None:
    result = train("mimo", tiny(), epochs=4, probe_every=2, **SETTINGS)
    row = result.table[0]
    for column in (
        "epoch",
        "lr",
        "train_loss",
        "train_accuracy",
        "validation_loss",
        "validation_accuracy",
        "seconds",
    ):
        assert column in row
    for kind in (
        "train_head_loss",
        "validation_heads_accuracy",
        "validation_sliced_accuracy",
        "encoder_norm",
        "sigma",
    ):
        assert {f"{kind}_m1", f"{kind}_m2"} <= row.keys()
    assert row["sigma_m1"] + row["sigma_m2"] == pytest.approx(1)
    assert ["validation_probe_accuracy_m1" in row for row in result.table] == [
        False,
        True,
        False,
        True,
    ]
    norm = torch.cat([p.detach().flatten() for p in result.model.encoders[1].parameters()]).norm()
    assert result.table[-1]["encoder_norm_m2"] == pytest.approx(float(norm), rel=1e-5)
    assert result.table[-1]["validation_accuracy"] == result.metrics["validation"]["accuracy"]
    assert result.table[-1]["train_loss"] < row["train_loss"]


def test_training_loss_is_the_mean_over_samples() -> None:
    run = new_run(Vanilla(), epochs=1, lr=1e-12)
    run.fit()
    with torch.no_grad():
        joint = run.model.fuse(run.encode(run.train).features)
    assert run.table[0]["train_loss"] == pytest.approx(
        float(nn.functional.cross_entropy(joint, run.train.target)), rel=1e-5
    )


def test_three_modalities_and_regression() -> None:
    three = train(
        "mimo", tiny(shapes=((4,), (4,), (2, 2, 1, 1))), epochs=2, **(SETTINGS | {"encoder": "mlp"})
    )
    assert set(three.metrics["test"]["unimodal"]["probe"]) == {"m1", "m2", "m3"}
    line = train(
        "linear_scalarization", tiny_regression(), epochs=30, **(SETTINGS | {"encoder": "linear"})
    )
    test = line.metrics["test"]
    assert test["mse"] < 0.05
    assert test["correlation"] > 0.98
    assert test["loss"] == pytest.approx(test["mse"] / 2, rel=1e-5)
    assert test["unimodal"]["probe"]["a"] == pytest.approx(
        0.5 * (0.5**2 + 0.01), rel=0.4
    )  # what b explains is left; 33 samples
    assert test["unimodal"]["probe"]["b"] > test["unimodal"]["probe"]["a"]


# ------------------------------------------------------------------------------------------ encoders


def test_encoders_are_chosen_by_shape() -> None:
    shapes = {
        (40,): "mlp",
        (1, 28, 28): "lenet",
        (1, 112, 112): "lenet",
        (1, 257, 188): "resnet18",
        (3, 2, 64, 64): "resnet18",
    }
    assert {shape: default_encoder(shape) for shape in shapes} == shapes


@pytest.mark.parametrize(("shape", "stride"), [((1, 28, 28), 1), ((1, 112, 112), 2)])
def test_lenet_is_the_published_network(shape: tuple[int, ...], stride: int) -> None:
    encoder = make_encoder(Modality("x", shape))
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


def test_bfloat16_runs_the_encoders_and_keeps_features_in_float32() -> None:
    data = tiny(shapes=((1, 8, 8), (5,)))
    exact, half = (
        new_run(Vanilla(), data, precision=precision) for precision in ("32-true", "bf16-mixed")
    )
    for plain, rough in zip(
        exact.encode(data.train).features, half.encode(data.train).features, strict=True
    ):
        assert rough.dtype == torch.float32
        assert not torch.equal(plain, rough)
        torch.testing.assert_close(
            rough, plain, rtol=0.02, atol=0.02 * float(plain.abs().max())
        )  # bfloat16 has 8 bits: 0.4 % per rounding
    half.fit()
    assert all(p.dtype == torch.float32 for p in half.model.parameters())
    assert half.table[-1]["train_loss"] < half.table[0]["train_loss"]


@pytest.mark.slow
def test_resnet18_takes_pictures_and_frames() -> None:
    pytest.importorskip("transformers")
    picture = make_encoder(Modality("x", (1, 140, 140)))
    assert picture.width == 512
    assert (
        sum(p.numel() for p in make_encoder(Modality("x", (3, 224, 224))).parameters())
        == 11_176_512
    )  # ResNet-18 without its classifier
    frames = make_encoder(Modality("x", (3, 2, 32, 32))).eval()
    x = torch.randn(2, 3, 2, 32, 32)
    one_by_one = torch.stack([frames(x[:, :, t]) for t in range(2)]).mean(0)
    torch.testing.assert_close(frames(x), one_by_one, rtol=1e-4, atol=1e-5)
    assert frames(x).shape == (2, 512)


@pytest.mark.parametrize("content", [b"", b"half", None])
def test_a_damaged_checkpoint_is_named(content: bytes | None, tmp_path: Path) -> None:
    def stop(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("vanilla", tiny(), epochs=3, folder=tmp_path, on_epoch=stop, **SETTINGS)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is None else content)
    with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged .* Delete it"):
        train("vanilla", tiny(), epochs=3, folder=tmp_path, **SETTINGS)
    path.unlink()
    assert len(train("vanilla", tiny(), epochs=3, folder=tmp_path, **SETTINGS).table) == 3


def test_a_checkpoint_is_not_continued_on_other_data(tmp_path: Path) -> None:
    def stop(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("vanilla", tiny(seed=0), epochs=3, folder=tmp_path, on_epoch=stop, **SETTINGS)
    with pytest.raises(ValueError, match=r"another configuration: data\.checksum is"):
        train(
            "vanilla", tiny(seed=1), epochs=3, folder=tmp_path, **SETTINGS
        )  # the same name, sizes and settings


def test_integers_of_numpy_are_integers() -> None:
    assert Settings(epochs=np.int64(2)) == Settings(epochs=2)  # type: ignore[arg-type]
