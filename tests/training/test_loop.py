"""The step, the schedules, and the table of epochs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mimo_sim.methods.vanilla import Vanilla
from mimo_sim.networks.encoders import make_encoder
from mimo_sim.training import Settings, train
from tests.networks import SETTINGS, new_run, same, tiny, tiny_regression


def test_the_loop_is_plain_sgd_on_the_joint_loss() -> None:
    """Vanilla against a loop by hand, bit for bit: weights, momentum, decay, schedule, order."""
    data = tiny()
    run = new_run(Vanilla(), data, epochs=4)
    encoders = nn.ModuleList([make_encoder(m.shape, None, 8) for m in data.modalities])
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
    probed = ["validation_probe_accuracy_m1" in row for row in result.table]
    assert probed == [False, True, False, True]
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
    left = 0.5 * (0.5**2 + 0.01)  # what b explains, and the noise
    assert test["unimodal"]["probe"]["a"] == pytest.approx(left, rel=0.4)  # 33 samples
    assert test["unimodal"]["probe"]["b"] > test["unimodal"]["probe"]["a"]


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
        # bfloat16 has 8 bits: 0.4 % per rounding
        torch.testing.assert_close(rough, plain, rtol=0.02, atol=0.02 * float(plain.abs().max()))
    half.fit()
    assert all(p.dtype == torch.float32 for p in half.model.parameters())
    assert half.table[-1]["train_loss"] < half.table[0]["train_loss"]
