"""MIMO and its estimates of f*, linear scalarization, uni-modal, OGM(-GE), AGM, G-Blending, MMCosine: each method's own promises."""

from __future__ import annotations

import copy
import math
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import mimo_sim as ms
from mimo_sim import methods
from mimo_sim.datasets._data import Dataset, Modality, Split
from mimo_sim.dynamics.start import random_weights
from mimo_sim.methods import _fstar as fstar
from mimo_sim.methods import _shared as shared
from mimo_sim.methods import agm, g_blending, mmcosine, ogm
from mimo_sim.methods._base import Batch, Forward, cross_entropy, half_squared_error
from mimo_sim.methods.mimo import MIMO
from mimo_sim.networks.late import LateFusion
from mimo_sim.training import Settings, TrainingRun, checkpoint

OWN = ("agm", "g_blending", "linear_scalarization", "mimo", "mmcosine", "ogm", "ogm_ge", "unimodal")


def dataset(k: int = 2, n: int = 48, seed: int = 0, task: str = "classification") -> Dataset:
    """Small images and vectors in which the classes show."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(1, 8, 8), (6,), (5,)][:k]
    target = torch.arange(3 * n) % 3

    def inputs(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(3 * n, *shape, generator=generator) + target.float().view(
            -1, *[1] * len(shape)
        )

    wanted = target if task == "classification" else torch.nn.functional.one_hot(target).float()
    parts = [torch.split(x, n) for x in (*map(inputs, shapes), wanted)]
    train, validation, test = (Split(tuple(p[:-1]), p[-1]) for p in zip(*parts, strict=True))
    modalities = tuple(Modality(f"m{i}", shape) for i, shape in enumerate(shapes))
    return Dataset(
        "small",
        modalities,
        train,
        validation,
        test,
        task,  # type: ignore[arg-type]
        ("a", "b", "c") if task == "classification" else (),
    )


def new_run(
    name: str, data: Dataset | None = None, epochs: int = 2, seed: int = 0, **hyper: Any
) -> TrainingRun:
    data = dataset() if data is None else data
    return TrainingRun(
        methods.create(name, **hyper),
        data,
        Settings(epochs=epochs, batch_size=16, width=4, seed=seed, lr=0.05),
    )


def fitted(name: str, data: Dataset | None = None, **settings: Any) -> TrainingRun:
    run = new_run(name, data, **settings)
    run.fit()
    return run


def started(name: str, data: Dataset | None = None, **hyper: Any) -> TrainingRun:
    """A run before its first step."""
    run = new_run(name, data, **hyper)
    run.method.setup(run)
    run.optimizer = run.new_optimizer([run.model, run.method])
    run.generator.manual_seed(0)
    return run


def one_batch(run: TrainingRun, size: int = 16) -> Batch:
    return run.inputs(run.train, torch.arange(size))


def body(run: TrainingRun) -> list[Tensor]:
    """Parameters and buffers of encoders and fusion layer."""
    return [*run.model.encoders.state_dict().values(), *run.model.fusion.state_dict().values()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def gradients(model: nn.Module) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.parameters()]


# ------------------------------------------------------------------------------------------ all of them


def test_they_are_registered() -> None:
    assert set(OWN) <= set(methods.available())
    assert methods.MIMO is MIMO is ms.methods.MIMO is methods.get("mimo")


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("name", OWN)
def test_training_is_reproducible_and_learns(name: str, k: int) -> None:
    hyper: dict[str, Any] = {"super_epoch": 2} if name == "g_blending" else {}
    first, second = (fitted(name, dataset(k), epochs=5, **hyper) for _ in range(2))
    assert same([*first.model.state_dict().values()], [*second.model.state_dict().values()])
    assert first.table[-1]["train_loss"] < first.table[0]["train_loss"]
    assert {key: value for key, value in first.table[-1].items() if "seconds" not in key} == {
        key: value for key, value in second.table[-1].items() if "seconds" not in key
    }


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


@pytest.mark.parametrize("name", OWN)
def test_switched_on_it_is_not_joint_training(name: str) -> None:
    assert not same(body(fitted(name)), body(fitted("vanilla")))


@pytest.mark.parametrize("name", ["ogm", "ogm_ge", "agm", "mmcosine"])
def test_what_needs_classes_refuses_regression(name: str) -> None:
    with pytest.raises(ValueError, match=f"method '{name}' is defined for classification"):
        started(name, dataset(task="regression"))


@pytest.mark.parametrize("name", ["mimo", "linear_scalarization", "unimodal", "g_blending"])
def test_the_others_do_regression(name: str) -> None:
    run = fitted(name, dataset(task="regression"), epochs=4)
    assert run.table[-1]["validation_loss"] < run.table[0]["validation_loss"]


@pytest.mark.parametrize(
    ("name", "hyper", "error", "message"),
    [
        ("mimo", {"lam": -1.0}, ValueError, "`lam` must be finite and >= 0"),
        ("mimo", {"mu": 0.0}, ValueError, "`mu` must be finite and > 0"),
        ("mimo", {"mu": "small"}, TypeError, "`mu` must be a number"),
        ("mimo", {"decay": 1.0}, ValueError, r"`decay` must be in \[0, 1\)"),
        ("mimo", {"heads": "unit"}, ValueError, "`heads` must be one of"),
        ("mimo", {"gap": "log"}, ValueError, "`gap` must be one of"),
        ("mimo", {"normalise": 2}, ValueError, "`normalise` must be one of"),
        ("mimo", {"adaptive_mu": -0.5}, ValueError, "`adaptive_mu` must be finite and >= 0"),
        (
            "mimo",
            {"f_star": "exact"},
            ValueError,
            "`f_star` must be one of .*running_minimum.* Got f_star='exact'",
        ),
        ("mimo", {"f_star": [0.1, math.nan]}, ValueError, "`f_star` must be finite"),
        ("mimo", {"f_star": ["a"]}, TypeError, "`f_star` must be one of"),
        ("mimo", {"f_star": True}, TypeError, "`f_star` must be one of"),
        ("mimo", {"f_star": []}, ValueError, "`f_star` must be finite"),
        (
            "linear_scalarization",
            {"weight": [1.0, -1.0]},
            ValueError,
            "`weight` must be finite and >= 0",
        ),
        ("ogm", {"alpha": -0.1}, ValueError, "`alpha` must be finite and >= 0"),
        ("ogm", {"window": (5, 2)}, ValueError, "`window` must have first <= last"),
        ("ogm", {"window": (-1, 2)}, ValueError, r"`window\[0\]` must be >= 0"),
        ("ogm", {"window": 5}, TypeError, "`window` must be None or"),
        ("ogm", {"window": (0.5, 2)}, TypeError, r"`window\[0\]` must be an integer"),
        ("ogm_ge", {"noise": -1.0}, ValueError, "`noise` must be finite and >= 0"),
        ("agm", {"cap": 0.0}, ValueError, "`cap` must be finite and > 0"),
        ("agm", {"clip": math.inf}, ValueError, "`clip` must be finite and > 0"),
        ("g_blending", {"super_epoch": 0}, ValueError, "`super_epoch` must be >= 1"),
        (
            "g_blending",
            {"weights": [1.0, -1.0, 0.0]},
            ValueError,
            "`weights` must be finite and >= 0",
        ),
        ("mmcosine", {"scale": 0.0}, ValueError, "`scale` must be finite and > 0"),
    ],
)
def test_bad_hyper_parameters_are_named(
    name: str, hyper: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        methods.create(name, **hyper)


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("linear_scalarization", {"weight": (1.0, 1.0)}),
        ("g_blending", {"weights": (1.0, 1.0)}),
        ("mimo", {"f_star": (1.0, 2.0)}),
    ],
)
def test_numbers_per_modality_must_fit_the_data(name: str, hyper: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"one number per modality|one per modality|K \+ 1"):
        fitted(name, dataset(3), **hyper)


# ------------------------------------------------------------------------------------------ MIMO in anyone's own loop

losses_of = st.lists(st.floats(0.0, 20.0), min_size=1, max_size=4)


def leaves(values: list[float], joint: float = 1.5) -> tuple[Tensor, Tensor]:
    return torch.tensor(joint, dtype=torch.float64, requires_grad=True), torch.tensor(
        values, dtype=torch.float64, requires_grad=True
    )


@given(losses_of, st.floats(0.0, 100.0), st.floats(1e-3, 10.0), st.data())
def test_mimo_is_its_formula_and_its_gradient_the_weights(
    values: list[float], lam: float, mu: float, data: st.DataObject
) -> None:
    f_star = data.draw(st.lists(st.floats(0.0, 5.0), min_size=len(values), max_size=len(values)))
    joint, losses = leaves(values)
    loss = MIMO(lam=lam, mu=mu, f_star=f_star)(joint, losses)
    gaps = losses.detach() - torch.tensor(f_star, dtype=torch.float64)
    assert loss.ndim == 0
    torch.testing.assert_close(
        loss.detach(), joint.detach() + lam * mu * torch.logsumexp(gaps / mu, 0)
    )
    loss.backward()
    if lam:
        torch.testing.assert_close(
            losses.grad, lam * torch.softmax(gaps / mu, 0), rtol=1e-9, atol=1e-12 * lam
        )
    assert joint.grad == 1


@given(losses_of, st.floats(-3.0, 3.0))
def test_weights_do_not_see_a_common_shift(values: list[float], shift: float) -> None:
    found = []
    for offset in (0.0, shift):
        joint, losses = leaves(values)
        MIMO(f_star=offset)(joint, losses + offset).backward()
        found.append(losses.grad)
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-12)


def test_equal_gaps_share_and_a_large_mu_is_linear_scalarization() -> None:
    joint, losses = leaves([3.0, 1.0, 2.0])
    MIMO(lam=6.0, f_star=[2.5, 0.5, 1.5])(joint, losses).backward()
    torch.testing.assert_close(losses.grad, torch.full_like(losses, 2.0))
    losses.grad = None
    MIMO(lam=6.0, mu=1e9, f_star="zero")(joint, losses).backward()
    torch.testing.assert_close(losses.grad, torch.full_like(losses, 2.0))


def test_the_smallest_mu_does_not_overflow() -> None:
    joint, losses = (torch.tensor(x, requires_grad=True) for x in (0.1, [0.8, 0.5]))
    loss = MIMO(lam=1.0, mu=1e-3, f_star="zero")(joint, losses)
    loss.backward()
    assert loss.item() == pytest.approx(0.9)
    assert losses.grad is not None
    assert losses.grad.tolist() == pytest.approx([1.0, 0.0])


def test_a_sequence_of_losses_is_as_good_as_a_tensor() -> None:
    joint, losses = leaves([0.3, 0.9])
    assert torch.equal(MIMO()(joint, losses), MIMO()(joint, [losses[0], losses[1]]))


def test_the_running_minimum_is_the_papers() -> None:
    mimo = MIMO(lam=1.0, mu=0.1, f_star="running_minimum", decay=0.0)
    seen = [[2.0, 3.0], [1.0, 3.5], [1.5, 2.5], [0.5, 4.0]]
    best = [math.inf, math.inf]
    for values in seen:
        joint, losses = leaves(values)
        mimo(joint, losses).backward()
        best = [min(pair) for pair in zip(best, values, strict=True)]
        expected = torch.softmax(
            (losses.detach() - torch.tensor(best, dtype=torch.float64)) / 0.1, 0
        )
        torch.testing.assert_close(losses.grad, expected)
    assert mimo.report()["f_star"] == best


def test_gaps_come_from_averages_and_gradients_from_the_batch() -> None:
    mimo = MIMO(lam=2.0, mu=0.1, f_star=[0.2, 0.4], decay=0.9)
    average = None
    for values in ([2.0, 1.0], [1.0, 1.5], [0.9, 0.2]):
        joint, losses = leaves(values)
        loss = mimo(joint, losses)
        loss.backward()
        average = np.array(values) if average is None else 0.9 * average + 0.1 * np.array(values)
        gaps = average - [0.2, 0.4]
        assert losses.grad is not None
        np.testing.assert_allclose(
            losses.grad, 2 * ms.objective.sigma_weights(gaps, 0.1), rtol=1e-12
        )
        assert loss.item() == pytest.approx(
            ms.objective.mimo_objective(1.5, gaps, 2.0, 0.1), rel=1e-12
        )


def test_the_normalised_form_is_the_objective_over_one_plus_lam_over_k() -> None:
    joint, losses = leaves([2.0, 1.0, 3.0])
    plain, normalised = (
        MIMO(lam=6.0, f_star="zero", normalise=on)(joint, losses) for on in (False, True)
    )
    torch.testing.assert_close(normalised, plain / 3)


def test_relative_gaps_are_fractions_of_the_first_losses() -> None:
    mimo = MIMO(lam=3.0, mu=0.1, f_star="zero", decay=0.0, gap="relative")
    mimo(*leaves([2.0, 4.0]))
    joint, losses = leaves([1.0, 2.2])
    loss = mimo(joint, losses)
    loss.backward()
    gaps = np.array([1.0 / 2, 2.2 / 4])
    assert loss.item() == pytest.approx(
        1.5 + 3.0 * 3.0 * ms.objective.smoothed_maximum(gaps, 0.1)
    )  # lam times the mean first loss
    assert losses.grad is not None
    np.testing.assert_allclose(losses.grad, 9.0 * ms.objective.sigma_weights(gaps, 0.1) / [2, 4])


@given(losses_of, st.floats(0.1, 2.0))
def test_adaptive_mu_bounds_the_weights(values: list[float], fraction: float) -> None:
    joint, losses = leaves(values)
    mimo = MIMO(lam=1.0, mu=1e-3, f_star="zero", adaptive_mu=fraction)
    mimo(joint, losses).backward()
    assert losses.grad is not None
    assert losses.grad.min() >= losses.grad.max() * math.exp(-1 / fraction) * (1 - 1e-9)
    assert mimo.report()["mu"] == pytest.approx(max(1e-3, fraction * max(values)))


@pytest.mark.parametrize("heads", ["gradient", "plain"])
def test_a_loss_that_is_not_finite_poisons_nothing_else(heads: Any) -> None:
    mimo = MIMO(lam=3.0, f_star="running_minimum", decay=0.5, heads=heads)
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


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rule", ["running_minimum", "extrapolation"])
def test_losses_of_half_precision_are_averaged_in_float32(rule: str, kind: torch.dtype) -> None:
    half, single = MIMO(f_star=rule, normalise=True), MIMO(f_star=rule, normalise=True)
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


def test_integer_losses_are_refused() -> None:
    with pytest.raises(
        TypeError,
        match=r"`loss_mm` and `losses_uni` must be floating point tensors\. Got torch\.float32 and torch\.int64",
    ):
        MIMO()(torch.tensor(1.0), torch.tensor([1, 2]))


def test_a_refused_call_leaves_nothing_behind() -> None:
    mimo = MIMO(f_star=[0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="`f_star` must hold one number per modality"):
        mimo(torch.tensor(1.0), torch.tensor([1.0, 2.0]))
    assert mimo(torch.tensor(1.0), torch.tensor([1.0, 2.0, 3.0])).isfinite()


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("first", [[math.nan, math.nan], [math.inf, 1.0]])
def test_first_losses_that_are_not_finite_are_forgotten(first: list[float], decay: float) -> None:
    mimo = MIMO(lam=3.0, decay=decay)
    for values in (first, [1.0, 2.0], [1.2, 1.0]):
        joint, losses = leaves(values)
        mimo(joint, losses).backward()
        assert losses.grad is not None
        assert losses.grad.isfinite().all()
    fresh = MIMO(lam=3.0, decay=decay)
    for values in ([1.0, 2.0], [1.2, 1.0]):
        same_joint, same_losses = leaves(values)
        fresh(same_joint, same_losses).backward()
    if not np.isfinite(first).any():
        assert torch.equal(mimo.smoothed, fresh.smoothed)
        assert torch.equal(mimo.f_star.value, fresh.f_star.value)
        torch.testing.assert_close(losses.grad, same_losses.grad, rtol=0, atol=0)
    assert mimo.smoothed.isfinite().all()
    assert np.isfinite(mimo.report()["f_star"]).all()


@pytest.mark.parametrize("normalise", [False, True])
def test_plain_heads_follow_their_own_loss_while_encoders_follow_the_objective(
    normalise: bool,
) -> None:
    torch.manual_seed(0)
    model = LateFusion([nn.Linear(5, 4), nn.Linear(3, 4)], [4, 4], 3)
    inputs, target = [torch.randn(8, 5), torch.randn(8, 3)], torch.arange(8) % 3
    found: dict[str, Any] = {}
    for heads in ("gradient", "plain"):
        mimo = MIMO(lam=4.0, mu=0.3, f_star="zero", heads=heads, normalise=normalise)
        features = model.features(inputs)
        fed = mimo.gate(features) if heads == "plain" else features
        losses = torch.stack([cross_entropy(v, target) for v in model.head_logits(fed)])
        loss = mimo(cross_entropy(model.fuse(features), target), losses)
        model.zero_grad()
        loss.backward()
        found[heads] = (
            loss.detach(),
            gradients(model.encoders),
            gradients(model.fusion),
            gradients(model.heads),
        )
    torch.testing.assert_close(found["plain"][:3], found["gradient"][:3])
    sigma = torch.softmax(losses.detach() / 0.3, 0) * 4 / (3 if normalise else 1)
    scaled = [g * sigma[k] for k, head in enumerate(model.heads) for g in gradients(head)]
    torch.testing.assert_close(scaled, found["gradient"][3])


@pytest.mark.parametrize("heads", ["gradient", "plain"])
def test_in_eval_mode_nothing_is_learned_from_a_call(heads: Any) -> None:
    mimo, twin = MIMO(heads=heads, decay=0.5), MIMO(heads=heads, decay=0.5)

    def call(method: MIMO, values: list[float]) -> Tensor:
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


def test_misuse_is_explained() -> None:
    joint, losses = leaves([1.0, 2.0])
    with pytest.raises(TypeError, match=r"`loss_mm` must be a tensor \(\)\. Got 1\.0"):
        MIMO()(1.0, losses)
    with pytest.raises(ValueError, match=r"K tensors \(\)\. Got shapes \[\(\), \(2,\)\]"):
        MIMO()(joint, [joint, losses])
    with pytest.raises(ValueError, match=r"heads='plain' needs `mimo.gate\(features\)`"):
        MIMO(heads="plain")(joint, losses)
    with pytest.raises(ValueError, match=r"Got shapes \(\) and \(\)"):
        MIMO()(joint, joint)
    for wrong in ([], [1.0, 2.0]):
        with pytest.raises(
            TypeError, match=r"`losses_uni` must be a tensor \(K,\) or K tensors \(\)\. Got \["
        ):
            MIMO()(joint, wrong)
    mimo, ended = MIMO(), MIMO(f_star="validation")
    mimo(joint, losses)
    ended(joint, losses)
    with pytest.raises(ValueError, match=r"\(K,\) with K=2\. Got shapes \(\) and \(1,\)"):
        mimo(joint, losses[:1])
    with pytest.raises(ValueError, match="f_star='validation' needs the trainer's run"):
        ended.end_epoch()
    with pytest.raises(ValueError, match="f_star='reference' needs the trainer's run"):
        MIMO(f_star="reference").begin_epoch()
    with pytest.raises(ValueError, match="f_star='reference' needs the trainer's run"):
        MIMO(f_star="reference")(joint, losses)


@pytest.mark.parametrize("rule", ["running_minimum", "epoch_minimum", "extrapolation", "zero"])
def test_state_goes_through_a_checkpoint(rule: str) -> None:
    stream = np.random.default_rng(0).uniform(0.5, 2.0, (9, 2))
    whole, first, second = (MIMO(f_star=rule, gap="relative") for _ in range(3))

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


def test_the_report_averages_over_the_epoch() -> None:
    mimo = MIMO(f_star="zero", decay=0.0, mu=0.5)
    mimo.begin_epoch()
    for values in ([1.0, 2.0], [2.0, 2.0]):
        mimo(*leaves(values))
    expected = (torch.softmax(torch.tensor([2.0, 4.0]), 0) + 0.5) / 2
    assert mimo.report()["sigma"] == pytest.approx(expected.tolist())
    assert mimo.report()["mu"] == pytest.approx(0.5)
    mimo.begin_epoch()
    assert mimo.report()["sigma"] == [0.0, 0.0]


# ------------------------------------------------------------------------------------------ where toy and runner meet


class SmallRun:
    """The least that a method's step needs."""

    def __init__(self, model: LateFusion, step_size: float) -> None:
        self.model, self.loss_function = model, half_squared_error
        self.optimizer = torch.optim.SGD(model.parameters(), lr=step_size)
        self.epoch = 0

    def mean(self, value: Tensor) -> Tensor:
        return value

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("rule", ["exact", "running_minimum"])
@pytest.mark.parametrize("heads", ["gradient", "plain"])
def test_on_the_toy_the_method_takes_the_steps_of_the_exact_engines(heads: Any, rule: Any) -> None:
    inputs, target = ms.generators.superficial_preference().sample(60, seed=1)
    inputs, target = (
        [np.vstack([x, -x]) for x in inputs],
        np.concatenate([target, -target]),
    )  # centred: the biases of the network have no gradient
    problem = ms.LateFusionProblem.from_samples(inputs, target)
    weights = random_weights(problem, width=6, init_scale=0.3, seed=0)
    steps, step_size = 150, 0.02
    toy = ms.simulate(
        problem,
        ms.MIMO(lam=10.0, mu=0.1, f_star=rule, heads=heads),
        engine="autograd",
        step_size=step_size,
        steps=steps,
        initial=weights,
    )

    model = LateFusion(
        [nn.Linear(d, 6, bias=False) for d in problem.dims],
        [6] * problem.num_modalities,
        problem.output_dim,
    ).double()
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
        model.fusion.weight.copy_(torch.from_numpy(np.hstack([v for v, _, _ in weights])))
        for head, encoder, (_, u, w) in zip(model.heads, model.encoders, weights, strict=True):
            head.weight.copy_(torch.from_numpy(u))  # type: ignore[operator]
            encoder.weight.copy_(torch.from_numpy(w))  # type: ignore[operator]
    run: Any = SmallRun(model, step_size)
    f_star = problem.unimodal_optima.tolist() if rule == "exact" else rule
    method = MIMO(lam=10.0, mu=0.1, f_star=f_star, heads=heads, decay=0.0)
    batch = Batch(
        [torch.from_numpy(x) for x in inputs],
        torch.from_numpy(target).reshape(len(target), -1),
        torch.arange(len(target)),
    )
    losses_mm, losses_uni, sigma, norms = [], [], [], []
    for _ in range(steps + 1):
        norms.append([float(encoder.weight.detach().norm()) for encoder in model.encoders])  # type: ignore[operator]
        method.begin_epoch()
        out = method.step(run, batch)
        losses_mm.append(out.loss.item())
        losses_uni.append(out.head_losses.tolist())
        sigma.append(method.report()["sigma"])
    assert np.ptp(toy.sigma.values) > 0.3 or rule == "running_minimum"
    np.testing.assert_allclose(losses_mm, toy.loss_mm, rtol=1e-10)
    np.testing.assert_allclose(losses_uni, toy.loss_uni, rtol=1e-10)
    np.testing.assert_allclose(norms, toy.encoder_norm, rtol=1e-10)
    np.testing.assert_allclose(sigma, toy.sigma, atol=1e-8)


# ------------------------------------------------------------------------------------------ estimates of f*


@given(
    st.floats(0.0, 2.0),
    st.floats(0.05, 3.0),
    st.sampled_from(list(np.linspace(0.3, 0.95, 14))),
    st.integers(3, 20),
)
def test_extrapolation_finds_the_limit_of_a_decay(
    limit: float, height: float, r: float, epochs: int
) -> None:
    assert fstar.curve_limit(limit + height * r ** np.arange(epochs)) == pytest.approx(
        limit, abs=1e-6
    )


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=12))
def test_extrapolation_stays_between_zero_and_the_best(curve: list[float]) -> None:
    assert 0 <= fstar.curve_limit(np.array(curve)) <= min(curve)


def test_extrapolation_falls_back_to_the_minimum() -> None:
    assert fstar.curve_limit(np.array([3.0, 2.0])) == 2.0  # nothing to extrapolate from
    assert fstar.curve_limit(np.array([1.0, 2.0, 3.0, 4.0])) == 1.0  # a rising curve


def test_epoch_minimum_is_that_of_the_epoch_means() -> None:
    rule = fstar.EpochMinimum()
    for k, epoch in enumerate(
        ([[2.0, 3.0], [4.0, 1.0]], [[1.0, 5.0], [2.0, 4.0]], [[3.0, 0.5], [1.0, 1.0]])
    ):
        for row in epoch:
            losses = torch.tensor(row)
            rule.observe(losses, losses)
            if k == 0:
                assert rule.value.tolist() == ([2.0, 3.0] if row == [2.0, 3.0] else [2.0, 1.0])
        rule.end_epoch(None)
        assert rule.value.tolist() == [[3.0, 2.0], [1.5, 2.0], [1.5, 0.75]][k]


def test_validation_is_the_smallest_validation_loss_of_the_heads() -> None:
    run = fitted("mimo", epochs=3, f_star="validation")
    for name in run.modality_names:
        smallest = min(row[f"validation_heads_loss_{name}"] for row in run.table)
        assert run.table[-1][f"f_star_{name}"] == pytest.approx(smallest, rel=1e-5)


def test_references_are_what_each_modality_reaches_alone() -> None:
    data = dataset(3)
    settings = Settings(
        epochs=5, batch_size=48, width=4, lr=0.05
    )  # full batches: order does not matter
    runs = [
        TrainingRun(methods.create(name, **hyper), data, settings)
        for name, hyper in (("mimo", {"f_star": "reference"}), ("unimodal", {}))
    ]
    for run in runs:
        run.fit()
    for name in runs[0].modality_names:
        alone = min(row[f"train_head_loss_{name}"] for row in runs[1].table)
        assert runs[0].table[0][f"f_star_{name}"] == pytest.approx(alone, rel=1e-4)
    assert runs[0].table[0]["reference_seconds"] > 0


def test_the_length_of_the_references_can_be_given() -> None:
    run = started("mimo", f_star="zero")
    assert fstar.unimodal_references(run, 3).shape == (3, 2)
    with pytest.raises(ValueError, match="`epochs` must be >= 1"):
        fstar.Reference(0)


def test_references_are_trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fstar, "_REFERENCES", {})
    calls: list[int] = []
    train = fstar.unimodal_references

    def counted(run: Any, epochs: int) -> Tensor:
        calls.append(epochs)
        return train(run, epochs)

    monkeypatch.setattr(fstar, "unimodal_references", counted)
    first, again, stronger = (
        fitted("mimo", f_star="reference"),
        fitted("mimo", f_star="reference"),
        fitted("mimo", f_star="reference", lam=20.0),
    )
    assert calls == [2]
    assert same(body(first), body(again))
    assert [run.table[0]["f_star_m0"] for run in (again, stronger)] == [
        first.table[0]["f_star_m0"]
    ] * 2
    assert again.table[0]["reference_seconds"] == first.table[0]["reference_seconds"] > 0
    fitted("mimo", f_star="reference", seed=1)
    fitted("mimo", dataset(seed=1), f_star="reference")
    fitted("mimo", epochs=3, f_star="reference")
    assert calls == [2, 2, 2, 3]
    fstar._REFERENCES.clear()
    resumed = new_run("mimo", f_star="reference")
    checkpoint.restore(resumed, checkpoint.state(first))
    resumed.method.begin_epoch(resumed)
    assert calls == [2, 2, 2, 3]


# ------------------------------------------------------------------------------------------ tools


def test_a_rehearsal_leaves_no_trace() -> None:
    run = fitted("linear_scalarization")
    before = copy.deepcopy(
        (run.model.state_dict(), run.optimizer.state_dict(), torch.get_rng_state())
    )
    weights = [p.clone() for p in run.model.parameters()]
    with shared.rehearsal(run):
        shared.practise(
            run,
            run.optimizer,
            2,
            lambda batch: run.loss_function(run.model(batch.inputs), batch.target)[None],
        )
        torch.rand(3)
        assert not same(weights, list(run.model.parameters()))
    after = run.model.state_dict(), run.optimizer.state_dict(), torch.get_rng_state()
    assert same([*before[0].values()], [*after[0].values()])
    assert same(
        [s["momentum_buffer"] for s in before[1]["state"].values()],
        [s["momentum_buffer"] for s in after[1]["state"].values()],
    )
    assert torch.equal(before[2], after[2])
    assert all(p.grad is None for p in run.model.parameters())


def test_evaluation_losses_are_means_over_all_samples_and_leave_no_trace() -> None:
    run = fitted("linear_scalarization")
    run.model.encoders[1].eval()
    modes = [module.training for module in run.model.modules()]
    before = [v.clone() for v in run.model.state_dict().values()]
    heads, joint = shared.evaluation_losses(run, run.train)
    assert modes == [module.training for module in run.model.modules()]
    assert same(before, [*run.model.state_dict().values()])
    run.model.eval()
    features = run.model.features(run.inputs(run.train, torch.arange(len(run.train))).inputs)
    assert joint.item() == pytest.approx(
        cross_entropy(run.model.fuse(features), run.train.target).item(), rel=1e-5
    )
    assert heads.tolist() == pytest.approx(
        [cross_entropy(v, run.train.target).item() for v in run.model.head_logits(features)],
        rel=1e-5,
    )


# ------------------------------------------------------------------------------------------ linear scalarization, uni-modal


def encoder_gradients(run: TrainingRun, weights: tuple[float, ...]) -> list[list[Tensor]]:
    method = methods.create("linear_scalarization", weight=weights)
    run.model.zero_grad()
    method.backward(run, method.forward_pass(run, one_batch(run)))
    return [gradients(encoder) for encoder in run.model.encoders]


def test_linear_scalarization_is_linear_in_its_own_weight_alone() -> None:
    run = started("vanilla", dataset(3))
    zero, one, three = (encoder_gradients(run, (w, 0.5, 0.0)) for w in (0.0, 1.0, 3.0))
    for g0, g1, g3 in zip(zero[0], one[0], three[0], strict=True):
        torch.testing.assert_close(g3 - g0, 3 * (g1 - g0), rtol=1e-3, atol=1e-6)
    assert same(zero[1], three[1])
    assert same(zero[2], three[2])


def test_mimo_at_large_mu_takes_linear_scalarizations_steps() -> None:
    runs = [fitted("mimo", lam=2.0, mu=1e8), fitted("linear_scalarization")]
    for a, b in zip(*(run.model.parameters() for run in runs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_mimo_with_one_modality_adds_lam_times_its_loss() -> None:
    runs = [
        fitted("mimo", dataset(1), lam=3.0),
        fitted("linear_scalarization", dataset(1), weight=3.0),
    ]
    for a, b in zip(*(run.model.parameters() for run in runs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_unimodal_gives_every_branch_the_gradient_of_its_own_loss() -> None:
    run = started("unimodal", dataset(3))
    batch = one_batch(run)
    run.method.backward(run, run.method.forward_pass(run, batch))
    together = gradients(run.model)
    run.model.zero_grad()
    for k in range(3):
        run.backward(run.method.forward_pass(run, batch).head_losses[k])
    assert same(together, gradients(run.model))
    assert not any(g.any() for g in gradients(run.model.fusion))


def test_the_joint_output_of_unimodal_training_is_the_mean_of_the_heads() -> None:
    run = started("unimodal")
    out = run.method.forward_pass(run, one_batch(run))
    torch.testing.assert_close(out.logits, torch.stack(run.model.head_logits(out.features)).mean(0))


# ------------------------------------------------------------------------------------------ OGM, OGM-GE


@given(st.lists(st.floats(0.0, 64.0), min_size=2, max_size=4), st.floats(0.0, 3.0))
def test_ogm_coefficients(scores: list[float], alpha: float) -> None:
    kappa = ogm.modulation(torch.tensor(scores), alpha)
    assert kappa.isfinite().all()
    assert ((kappa >= 0) & (kappa <= 1)).all()
    assert (kappa < 1).sum() < len(scores)  # not everybody is better than the others
    assert kappa[int(np.argmin(scores))] == 1
    if alpha == 0:
        assert (kappa == 1).all()


def test_ogm_is_the_papers_for_two_modalities() -> None:
    kappa = ogm.modulation(torch.tensor([6.0, 2.0], dtype=torch.float64), 0.8)
    assert kappa.tolist() == pytest.approx([1 - math.tanh(0.8 * 3), 1.0], rel=1e-6)
    assert ogm.modulation(torch.tensor([2.0, 2.0]), 0.8).tolist() == [1.0, 1.0]
    assert ogm.modulation(torch.tensor([0.0, 0.0]), 0.8).tolist() == [1.0, 1.0]


def ogm_step(
    name: str, k: int = 2, **hyper: Any
) -> tuple[TrainingRun, list[list[Tensor]], list[list[Tensor]], Tensor]:
    run = started(name, dataset(k), **hyper)
    out = run.method.forward_pass(run, one_batch(run))
    run.method.backward(run, out)
    before = [gradients(e) for e in run.model.encoders]
    run.method.gradients(run, out)
    after = [gradients(e) for e in run.model.encoders]
    assert torch.equal(run.model.fusion.weight.grad, gradients(run.model.fusion)[0])  # type: ignore[arg-type]
    scores = torch.stack(
        [a.softmax(1)[torch.arange(16), out.batch.target].sum() for a in out.sliced]
    )
    return run, before, after, ogm.modulation(scores, 0.8)


@pytest.mark.parametrize("k", [2, 3])
def test_ogm_scales_weights_of_encoders_and_nothing_else(k: int) -> None:
    _, before, after, kappa = ogm_step("ogm", k)
    assert (kappa < 1).any()
    for b, a, coefficient in zip(before, after, kappa, strict=True):
        for x, y in zip(b, a, strict=True):
            torch.testing.assert_close(y, x * coefficient if x.ndim > 1 else x)


def test_ogm_ge_adds_noise_of_the_gradients_size() -> None:
    draws: list[list[Tensor]] = []
    run, before, _, kappa = ogm_step("ogm_ge")
    out = run.method.forward_pass(run, one_batch(run))
    for _ in range(400):
        for encoder, gs in zip(run.model.encoders, before, strict=True):
            for p, g in zip(encoder.parameters(), gs, strict=True):
                p.grad = g.clone()
        run.method.gradients(run, out)
        draws.append([p.grad for e in run.model.encoders for p in e.parameters()])  # type: ignore[misc]
    flat = [g for gs in before for g in gs]
    owners = [float(c) for c, gs in zip(kappa, before, strict=True) for _ in gs]
    for g, coefficient, samples in zip(flat, owners, zip(*draws, strict=True), strict=True):
        noise = torch.stack(samples) - coefficient * g
        if g.ndim == 1:
            torch.testing.assert_close(noise + coefficient * g, g.expand_as(noise))
            continue
        s = g.std().item()
        assert noise.mean().abs().item() < 5 * s / math.sqrt(noise.numel())
        assert noise.std().item() == pytest.approx(s, rel=5 / math.sqrt(noise.numel()))


def test_ogm_ge_without_noise_is_ogm() -> None:
    assert same(body(fitted("ogm_ge", noise=0.0)), body(fitted("ogm")))


def test_ogm_ge_noise_of_a_single_number_is_not_nan() -> None:
    run = started("ogm_ge")
    gradient = torch.tensor([[2.0]])
    run.method.modulate(run, gradient, torch.tensor(0.5))  # type: ignore[operator]
    assert gradient.item() == pytest.approx(1.0, abs=1e-6)


def test_windows_are_inclusive_and_count_from_zero() -> None:
    assert [shared.inside((1, 2), epoch) for epoch in range(4)] == [False, True, True, False]
    assert shared.inside(None, 10**6)
    run = fitted("ogm", epochs=4, window=(1, 2))
    assert ["kappa_m0" in row for row in run.table] == [False, True, True, False]


# ------------------------------------------------------------------------------------------ AGM


def agm_by_the_book(run: TrainingRun, kappa: Tensor) -> list[Tensor]:
    """Gradient from masked network inputs, one pass of the whole network per coalition, and hooks on the responses."""
    model, batch = run.model, one_batch(run)
    k = model.num_modalities
    z: dict[frozenset[int], Tensor] = {frozenset(range(k)): model(batch.inputs)}
    with shared.evaluation_mode(model):
        for code in range(1, 2**k - 1):
            inside = frozenset(j for j in range(k) if code >> j & 1)
            z[inside] = model(
                [x if j in inside else torch.zeros_like(x) for j, x in enumerate(batch.inputs)]
            )
    z[frozenset()] = torch.zeros_like(z[frozenset(range(k))])
    responses: list[Any] = [0] * k
    orders = list(permutations(range(k)))
    for order in orders:
        for place, j in enumerate(order):
            responses[j] = responses[j] + (
                z[frozenset(order[: place + 1])] - z[frozenset(order[:place])]
            ) / len(orders)
    for phi, coefficient in zip(responses, kappa, strict=True):
        phi.register_hook(lambda g, c=coefficient: g * c)
    model.zero_grad()
    run.backward(cross_entropy(sum(responses), batch.target))
    return gradients(model)


@pytest.mark.parametrize("k", [2, 3])
def test_agm_is_the_books_with_fewer_passes(k: int) -> None:
    run = fitted("vanilla", dataset(k))  # running statistics that are not the initial ones
    method = methods.create("agm", alpha=2.0)
    method.setup(run)
    assert isinstance(method, agm.AGM)
    method.averages.copy_(torch.linspace(0.5, 1.5, k))
    method.steps.fill_(4)
    buffers = [b.clone() for b in run.model.buffers()]
    batch = one_batch(run)
    out = method.forward_pass(run, batch)
    phi = method.responses(
        run, Forward(run.model, batch, out.features, run.model.fuse(out.features), cross_entropy)
    )
    torch.testing.assert_close(phi.sum(-1), run.model.fuse(out.features))
    torch.testing.assert_close(out.logits, run.model.fuse(out.features))
    scores = torch.stack([cross_entropy(phi[..., j], batch.target) for j in range(k)]).detach()
    kappa = agm.modulation(scores, torch.linspace(0.5, 1.5, k), 2.0, 10.0)
    torch.testing.assert_close(method.averages, torch.linspace(0.5, 1.5, k) * 4 / 5 + scores / 5)
    run.model.zero_grad()
    run.backward(method.objective(run, out))
    found = gradients(run.model)
    for buffer, old in zip(run.model.buffers(), buffers, strict=True):
        buffer.copy_(old)
    torch.testing.assert_close(
        found,
        agm_by_the_book(run, kappa) + [torch.zeros_like(g) for g in found[len(found) :]],
        rtol=1e-4,
        atol=1e-6,
    )


def test_agm_touches_running_statistics_once_per_step() -> None:
    runs = [started(name) for name in ("vanilla", "agm")]
    for run in runs:
        run.method.forward_pass(run, one_batch(run))
    assert same([*runs[0].model.buffers()], [*runs[1].model.buffers()])


def test_agm_at_a_tiny_alpha_is_joint_training_up_to_round_off() -> None:
    for a, b in zip(
        body(fitted("agm", alpha=1e-12, clip=1e6)), body(fitted("vanilla")), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@given(st.lists(st.floats(0.0, 18.4), min_size=2, max_size=4), st.floats(0.0, 4.0))
def test_agm_coefficients(scores: list[float], alpha: float) -> None:
    s = torch.tensor(scores, dtype=torch.float64)
    kappa = agm.modulation(s, torch.zeros_like(s), alpha, 10.0)
    assert kappa.isfinite().all()
    assert (kappa <= math.exp(alpha * 1.0) * (1 + 1e-12)).all()  # r >= 0 = tau - 1
    ahead = agm.lead(s)
    for i in range(len(s)):
        for j in range(len(s)):
            if ahead[i] > ahead[j]:
                assert kappa[i] <= kappa[j]
    if len(set(scores)) == 1:
        torch.testing.assert_close(kappa, torch.ones_like(s))


def test_agm_amplification_is_capped() -> None:
    kappa = agm.modulation(torch.tensor([18.0, 0.0]), torch.tensor([0.0, 18.0]), 0.5, 10.0)
    assert kappa.tolist() == pytest.approx([math.exp(5.0), 0.0])


@pytest.mark.parametrize("clip", [1e-4, 1e4])
def test_agm_clips_by_the_fusion_layers_largest_entry(clip: float) -> None:
    run = started("agm", clip=clip)
    out = run.method.forward_pass(run, one_batch(run))
    run.method.backward(run, out)
    before = gradients(run.model)
    run.method.gradients(run, out)
    norm = torch.cat([g.flatten() for g in before]).norm()
    factor = clip / norm if clip < 1 else 1.0
    torch.testing.assert_close(gradients(run.model), [g * factor for g in before])


# ------------------------------------------------------------------------------------------ G-Blending

curve = st.floats(0.0, 5.0)


@given(st.lists(st.tuples(curve, curve, curve, curve), min_size=2, max_size=4))
def test_blend_weights_are_weights(curves: list[tuple[float, ...]]) -> None:
    weights = g_blending.blend_weights(*torch.tensor(curves, dtype=torch.float64).T)
    assert (weights >= 0).all()
    assert weights.sum().item() == pytest.approx(1)


def test_blend_weights() -> None:
    def blend(**changes: list[float]) -> list[float]:
        curves = {
            "train_before": [2.0, 2.0, 2.0],
            "train_after": [0.5, 0.5, 0.5],
            "held_before": [2.0, 2.0, 2.0],
            "held_after": [1.0, 1.0, 1.0],
        } | changes
        found: list[float] = g_blending.blend_weights(
            **{name: torch.tensor(c, dtype=torch.float64) for name, c in curves.items()}
        ).tolist()
        return found

    assert blend() == pytest.approx([1 / 3] * 3)  # the same curves: uniform
    assert blend(train_after=[0.0, 0.5, 0.5]) == pytest.approx(
        np.array([1 / 4, 1, 1]) / 2.25
    )  # doubling O
    assert blend(held_after=[2.5, 1.0, 1.0])[0] == 0  # it got worse
    assert blend(held_after=[3.0, 3.0, 3.0]) == pytest.approx([1 / 3] * 3)  # nobody gained
    assert blend(train_after=[1.0, 1.0, 1.0]) == pytest.approx([1 / 3] * 3)  # nobody over-fitted
    assert np.isfinite(blend(train_after=[1.0, 0.5, 0.5])).all()


def test_g_blending_estimates_every_super_epoch_and_counts_the_cost() -> None:
    run = fitted("g_blending", epochs=5, super_epoch=2)
    assert [row["extra_epochs"] for row in run.table] == [4, 4, 8, 8, 10]
    assert all(
        sum(row[f"blend_{m}"] for m in range(3)) == pytest.approx(1, abs=1e-5) for row in run.table
    )
    assert run.table[0]["blend_0"] == run.table[1]["blend_0"] != run.table[2]["blend_0"]


def test_g_blending_leaves_no_trace_of_its_estimates() -> None:
    run = started("g_blending")
    before = [v.clone() for v in run.model.state_dict().values()]
    run.method.begin_epoch(run)
    assert same(before, [*run.model.state_dict().values()])
    assert not run.optimizer.state_dict()["state"]


def test_equal_fixed_blend_weights_are_a_third_of_linear_scalarization() -> None:
    run = started("g_blending", weights=(1 / 3, 1 / 3, 1 / 3))
    batch = one_batch(run)
    out = run.method.forward_pass(run, batch)
    expected = methods.create("linear_scalarization").objective(run, out) / 3
    torch.testing.assert_close(run.method.objective(run, out), expected)


# ------------------------------------------------------------------------------------------ MMCosine


@pytest.mark.parametrize("k", [2, 3])
def test_mmcosine_is_its_formula(k: int) -> None:
    run = started("mmcosine", dataset(k), scale=7.0)
    features = run.model.features(one_batch(run).inputs)
    expected = sum(
        7.0 * torch.nn.functional.cosine_similarity(h[:, None], w[None], dim=-1)
        for h, w in zip(features, run.model.weight_blocks(), strict=True)
    )
    output = run.method.fuse(run.model, features)
    torch.testing.assert_close(output, expected)
    parts = run.method.unimodal_outputs(run.model, features)
    assert parts is not None
    torch.testing.assert_close(sum(parts), output)
    assert output.abs().max() <= 7.0 * k * (1 + 1e-6)


def test_mmcosine_does_not_see_sizes() -> None:
    torch.manual_seed(0)
    h, w = torch.randn(5, 4), torch.randn(3, 4)
    sizes, scales = torch.rand(5, 1) + 0.1, torch.rand(3, 1) * 10 + 0.1
    torch.testing.assert_close(
        mmcosine.cosine_logits(h * sizes, w * scales, 10.0), mmcosine.cosine_logits(h, w, 10.0)
    )


def test_mmcosine_survives_a_zero_feature() -> None:
    h, w = torch.zeros(2, 4, requires_grad=True), torch.ones(3, 4)
    logits = mmcosine.cosine_logits(h, w, 10.0)
    torch.autograd.backward(logits.sum())
    assert not logits.any()
    assert h.grad is not None
    assert h.grad.isfinite().all()
    assert h.grad.abs().max() <= 10.0 * 3 / mmcosine.LEAST_NORM


def test_mmcosine_does_not_use_the_bias() -> None:
    run = fitted("mmcosine")
    before = run.method.fuse(run.model, run.encode(run.validation).features)
    with torch.no_grad():
        run.model.fusion.bias.add_(5)
    assert torch.equal(before, run.method.fuse(run.model, run.encode(run.validation).features))
