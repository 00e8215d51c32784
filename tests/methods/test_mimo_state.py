"""The state of ms.MIMOLoss: averages, checkpoints, eval mode, and losses that are not finite."""

from __future__ import annotations

import copy
import io
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mimo_sim.methods import MIMOLoss
from tests.methods.helpers import leaves


@pytest.mark.parametrize("heads", ["gradient", "plain"])
def test_a_loss_that_is_not_finite_poisons_nothing_else(heads: Any) -> None:
    mimo = MIMOLoss(lam=3.0, f_star="running_minimum", decay=0.5, heads=heads)
    features = [torch.ones(4, 2, requires_grad=True) for _ in range(3)]
    for values in ([1.0, 2.0, 3.0], [1.0, math.nan, 2.0], [1.0, 2.0, math.inf]):
        mimo.gate(features)
        before = mimo.smoothed.clone()
        joint, losses = leaves(values)
        loss = mimo(joint, losses)
        loss.backward()
        assert loss.isfinite()
        assert losses.grad is not None
        bad = ~losses.detach().isfinite()
        assert losses.grad.isfinite().all()
        assert not losses.grad[bad].any()
        if bad.any():
            assert torch.equal(mimo.smoothed[bad], before[bad])
            torch.testing.assert_close(
                losses.grad[~bad],
                torch.full((2,), 1.0 if heads == "plain" else 1.5, dtype=torch.float64),
            )
    assert np.isfinite(mimo.report()["f_star"]).all()


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("first", [[math.nan, math.nan], [math.inf, 1.0]])
def test_first_losses_that_are_not_finite_are_forgotten(first: list[float], decay: float) -> None:
    mimo = MIMOLoss(lam=3.0, decay=decay)
    for values in (first, [1.0, 2.0], [1.2, 1.0]):
        joint, losses = leaves(values)
        mimo(joint, losses).backward()
        assert losses.grad is not None
        assert losses.grad.isfinite().all()
    fresh = MIMOLoss(lam=3.0, decay=decay)
    for values in ([1.0, 2.0], [1.2, 1.0]):
        same_joint, same_losses = leaves(values)
        fresh(same_joint, same_losses).backward()
    if not np.isfinite(first).any():
        assert torch.equal(mimo.smoothed, fresh.smoothed)
        assert torch.equal(mimo.f_star.value, fresh.f_star.value)
        torch.testing.assert_close(losses.grad, same_losses.grad, rtol=0, atol=0)
    assert mimo.smoothed.isfinite().all()
    assert np.isfinite(mimo.report()["f_star"]).all()


odd_losses = [0.0, 5e-324, 1e-300, math.inf, -math.inf, math.nan]
any_loss = st.one_of(st.floats(0.0, 5.0), st.sampled_from(odd_losses))


@given(
    st.lists(st.lists(any_loss, min_size=2, max_size=2), min_size=1, max_size=6),
    st.sampled_from(["running_minimum", "epoch_minimum", "extrapolation", "zero"]),
    st.sampled_from(["absolute", "relative"]),
    st.sampled_from([0.0, 3.0]),
    st.sampled_from([0.0, 0.95]),
    st.integers(1, 7),
)
def test_whatever_losses_came_before_finite_ones_heal_the_state(
    rows: list[list[float]], rule: str, gap: Any, lam: float, decay: float, steps_per_epoch: int
) -> None:
    mimo = MIMOLoss(lam=lam, f_star=rule, gap=gap, decay=decay)
    for step, values in enumerate([*rows, [1.0, 2.0]], 1):
        joint, losses = leaves(values)
        loss = mimo(joint, losses)
        loss.backward()
        assert losses.grad is None or losses.grad.isfinite().all()
        assert mimo.smoothed.isfinite().all()
        if np.isfinite(values).any():
            assert loss.isfinite()
        if step % steps_per_epoch == 0:
            mimo.end_epoch()
    assert mimo.first.isfinite().all()
    assert (mimo.first != 0).all()
    assert np.isfinite(mimo.report()["f_star"]).all()
    assert np.isfinite([*mimo.report()["sigma"], mimo.report()["mu"]]).all()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rule", ["running_minimum", "extrapolation"])
def test_losses_of_half_precision_are_averaged_in_float32(rule: str, kind: torch.dtype) -> None:
    half, single = MIMOLoss(f_star=rule, normalise=True), MIMOLoss(f_star=rule, normalise=True)
    draw = torch.Generator().manual_seed(0)
    for _ in range(3):
        for _ in range(400):
            given = (torch.tensor([0.7, 1.5]) + torch.rand(2, generator=draw)).to(kind)
            joint, losses = (
                torch.ones((), dtype=kind, requires_grad=True),
                given.clone().requires_grad_(),
            )
            value = half(joint, losses)
            same = given.float().requires_grad_()
            expected = single(joint.detach().float().requires_grad_(), same)
            value.backward()
            expected.backward()
            assert losses.grad is not None
            assert same.grad is not None
            assert torch.equal(losses.grad, same.grad.to(kind))
            torch.testing.assert_close(value, expected)
        half.end_epoch()
        single.end_epoch()
    assert half.report() == single.report()


@pytest.mark.parametrize("heads", ["gradient", "plain"])
def test_in_eval_mode_nothing_is_learned_from_a_call(heads: Any) -> None:
    mimo, twin = MIMOLoss(heads=heads, decay=0.5), MIMOLoss(heads=heads, decay=0.5)

    def call(method: MIMOLoss, values: list[float]) -> Tensor:
        joint, losses = leaves(values)
        method.gate([torch.zeros(1, 1)] * len(values))
        return method.forward(joint, losses)

    for method in (mimo, twin):
        call(method, [1.0, 2.0])
    before = {key: value.clone() for key, value in mimo.state_dict().items()}
    seen = call(mimo.eval(), [0.1, 5.0])
    assert all(torch.equal(value, before[key]) for key, value in mimo.state_dict().items())
    assert torch.equal(seen, call(twin, [0.1, 5.0]))  # the objective that such a step would have
    assert any(not torch.equal(value, before[key]) for key, value in twin.state_dict().items())


@pytest.mark.parametrize("rule", ["running_minimum", "epoch_minimum", "extrapolation", "zero"])
def test_state_goes_through_a_checkpoint(rule: str) -> None:
    stream = np.random.default_rng(0).uniform(0.5, 2.0, (9, 2))
    whole, first, second = (MIMOLoss(f_star=rule, gap="relative") for _ in range(3))

    def feed(mimo: Any, rows: np.ndarray) -> list[float]:
        found = []
        for i, row in enumerate(rows):
            found.append(mimo(*leaves(row.tolist())).item())
            if i % 2:
                mimo.end_epoch()
                mimo.begin_epoch()
        return found

    expected = feed(whole, stream)
    feed(first, stream[:6])
    second.load_state_dict(first.state_dict())
    assert feed(second, stream[6:]) == expected[6:]


# ---------------------------------------------------------------------------- like any module

STREAM = [[2.0, 1.0, 1.5], [1.2, 1.1, 1.6], [1.4, 0.9, 1.2], [0.8, 1.3, 1.0], [0.9, 0.7, 1.1]]
RULES: list[Any] = [
    "running_minimum",
    "epoch_minimum",
    "extrapolation",
    "zero",
    0.5,
    [0.1, 0.2, 0.3],
]


def feed(
    mimo: MIMOLoss, rows: list[list[float]], dtype: torch.dtype = torch.float64
) -> list[float]:
    """The objectives of some steps, each of them an epoch."""
    found = []
    for row in rows:
        mimo.begin_epoch()
        joint, losses = leaves(row)
        found.append(mimo(joint.to(dtype), losses.to(dtype)).item())
        mimo.end_epoch()
    return found


def saved(mimo: MIMOLoss) -> MIMOLoss:
    """A fresh object with the state, which has been through a file."""
    file = io.BytesIO()
    torch.save(mimo.state_dict(), file)
    file.seek(0)
    fresh = MIMOLoss(**mimo.hyper)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    return fresh


def pickled(mimo: MIMOLoss) -> MIMOLoss:
    copied: MIMOLoss = pickle.loads(pickle.dumps(mimo))
    return copied


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("duplicate", [saved, copy.deepcopy, pickled])
@pytest.mark.parametrize("steps", [0, 3])  # before the first step, and after some
def test_a_duplicate_goes_on_like_the_original(duplicate: Any, rule: Any, steps: int) -> None:
    mimo = MIMOLoss(lam=3.0, mu=0.2, f_star=rule, gap="relative", adaptive_mu=0.1, normalise=True)
    feed(mimo, STREAM[:steps])
    other = duplicate(mimo)
    assert other is not mimo
    assert other.hyper == mimo.hyper
    expected = feed(copy.deepcopy(mimo), STREAM[steps:])
    assert feed(other, STREAM[steps:]) == expected
    assert feed(mimo, STREAM[steps:]) == expected  # the duplicate's steps left the original alone


def test_a_loaded_state_replaces_what_was_learned() -> None:
    used, fresh = MIMOLoss(), MIMOLoss()
    feed(used, STREAM)
    used.load_state_dict(fresh.state_dict())
    assert feed(used, [[3.0, 4.0]]) == feed(fresh, [[3.0, 4.0]])  # another K, as at the beginning


def test_a_state_of_version_0_2_is_understood() -> None:
    mimo, fresh = MIMOLoss(f_star="extrapolation"), MIMOLoss(f_star="extrapolation")
    feed(mimo, STREAM[:3])
    state = mimo.state_dict()
    del state["epoch_over"]
    state["f_star.count"] = torch.zeros((), dtype=torch.long)  # the steps, not one per modality
    fresh.load_state_dict(state)
    assert feed(fresh, STREAM[3:]) == feed(mimo, STREAM[3:])


def test_as_part_of_a_network_it_travels_with_it() -> None:
    networks = [nn.ModuleDict({"encoder": nn.Linear(2, 2), "loss": MIMOLoss()}) for _ in range(2)]
    first, second = networks
    feed(first["loss"], STREAM[:3])  # type: ignore[arg-type]
    assert not list(first["loss"].parameters())  # nothing for the optimizer
    second.load_state_dict(first.state_dict())
    assert feed(first["loss"], STREAM[3:]) == feed(second["loss"], STREAM[3:])  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_of_a_network_leaves_the_state_alone(rule: Any, dtype: torch.dtype) -> None:
    mimo, twin = MIMOLoss(f_star=rule), MIMOLoss(f_star=rule)
    for method in (mimo, twin):
        feed(method, STREAM[:3], torch.float32)
    mimo.to(dtype)
    for name, value in mimo.state_dict().items():
        assert torch.equal(value, twin.state_dict()[name]), name
    assert feed(mimo, STREAM[3:], torch.float32) == feed(twin, STREAM[3:], torch.float32)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("steps", [0, 3])
def test_the_state_follows_the_precision_of_the_losses(rule: Any, steps: int) -> None:
    mimo, double = MIMOLoss(f_star=rule), MIMOLoss(f_star=rule)
    feed(mimo, STREAM[:steps], torch.float32)
    feed(double, STREAM[:steps])
    mimo.to(torch.float64)
    assert all(
        value.dtype == torch.float64
        for value in mimo.state_dict().values()
        if value.is_floating_point()
    )
    found = feed(mimo, STREAM[steps:])
    np.testing.assert_allclose(found, feed(double, STREAM[steps:]), rtol=1e-6)  # float32's digits
    joint, losses = leaves(STREAM[0])
    assert mimo(joint.float(), losses.float()).dtype == torch.float32
    assert mimo.smoothed.dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("gap", ["absolute", "relative"])
@pytest.mark.parametrize("heads", ["gradient", "plain"])
@pytest.mark.parametrize("rule", ["running_minimum", "epoch_minimum", "extrapolation", "zero"])
def test_the_state_follows_the_losses_to_their_device(rule: str, heads: Any, gap: Any) -> None:
    def step(mimo: MIMOLoss, row: list[float], device: str) -> float:
        mimo.gate([torch.zeros(1, 1, device=device)] * len(row))
        joint, losses = (x.to(device) for x in leaves(row))
        return float(mimo(joint, losses))

    moved, stayed = (MIMOLoss(f_star=rule, heads=heads, gap=gap) for _ in range(2))
    for i, row in enumerate(STREAM):  # a state that was loaded on the CPU goes on on the device
        expected = step(stayed, row, "cpu")
        assert step(moved, row, "cuda" if i % 2 else "cpu") == pytest.approx(expected, rel=1e-12)
        moved.end_epoch()
        stayed.end_epoch()
    moved.to("cuda")
    assert {value.device.type for value in moved.state_dict().values()} == {"cuda"}
    ready = [x.to("cuda") for x in leaves(STREAM[0])]
    features = [torch.zeros(1, 1, device="cuda")] * 3
    torch.cuda.set_sync_debug_mode("error")  # nothing in a step waits for the device
    try:
        moved.gate(features)
        moved(*ready)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", [list, tuple, torch.stack])
def test_any_number_of_losses_as_list_tuple_or_tensor(k: int, kind: Any) -> None:
    joint, losses = leaves([0.3 + 0.2 * i for i in range(k)])
    loss = MIMOLoss(lam=2.0, mu=0.5, f_star="zero")(joint, kind(list(losses)))
    loss.backward()
    torch.testing.assert_close(losses.grad, 2.0 * torch.softmax(losses.detach() / 0.5, 0))
