"""UMT, PMR, CML, InfoReg, MBSD and ReconBoost."""

from __future__ import annotations

import copy
import math
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from mimo_sim import methods
from mimo_sim.methods.cml import confidence_gain
from mimo_sim.methods.inforeg import leads, window_open
from mimo_sim.methods.mbsd import distillation
from mimo_sim.methods.pmr import help_weights
from mimo_sim.methods.reconboost import boosting_loss
from mimo_sim.training import TrainingRun
from tests.test_methods_gradient import StopError, fitted, same, start, tiny

ALL: list[tuple[str, dict[str, Any]]] = [
    ("umt", {"lam": 1.0, "epochs": 1}),
    ("pmr", {"rule": "clip"}),
    ("cml", {}),
    ("inforeg", {"threshold": -math.inf}),
    ("mbsd", {}),
    ("reconboost", {}),
]


@pytest.mark.parametrize(("name", "hyper"), ALL)
def test_same_seed_same_bytes_and_a_stopped_run_continues(
    name: str, hyper: dict[str, Any], tmp_path: Path
) -> None:
    dataset = tiny(3)
    whole = fitted(methods.create(name, **hyper), dataset)
    assert not same(whole.model, fitted(methods.create("vanilla"), dataset).model)
    stopped = TrainingRun(methods.create(name, **hyper), dataset, whole.settings)

    def stop(_: int) -> None:
        if len(stopped.table) == 2:
            raise StopError

    torch.manual_seed(12345)  # the global stream must not matter
    with pytest.raises(StopError):
        stopped.fit(tmp_path, stop)
    again = TrainingRun(methods.create(name, **hyper), dataset, whole.settings)
    again.fit(tmp_path)
    assert same(whole.model, again.model)
    assert same(whole.method, again.method)


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("umt", {"lam": 0.0}),
        ("pmr", {"alpha": 0.0}),
        ("pmr", {"window": (5, 6)}),
        ("inforeg", {"threshold": math.inf}),
    ],
)
def test_switched_off_is_vanilla_bit_for_bit(name: str, hyper: dict[str, Any]) -> None:
    dataset = tiny()
    assert same(
        fitted(methods.create("vanilla"), dataset).model,
        fitted(methods.create(name, **hyper), dataset).model,
    )


@pytest.mark.parametrize(
    ("name", "hyper", "words"),
    [
        ("umt", {"lam": -1.0}, "`lam` must be finite and >= 0"),
        ("umt", {"epochs": 0}, "`epochs` must be >= 1"),
        ("pmr", {"momentum": 1.5}, r"`momentum` must be in \[0, 1\]"),
        ("pmr", {"rule": "hard"}, "`rule` must be one of"),
        ("cml", {"lam": math.nan}, "`lam` must be finite"),
        ("inforeg", {"threshold": math.nan}, "`threshold` must be a number"),
        ("mbsd", {"lam": -1.0}, "`lam` must be finite"),
        ("reconboost", {"w1": 1.0, "w2": 2.0}, "`w2` must be <= `w1`"),
        ("reconboost", {"rho": 0.0}, "`rho` must be finite and > 0"),
        ("reconboost", {"own_epochs": 0}, "`own_epochs` must be >= 1"),
    ],
)
def test_hyper_parameters_outside_their_range_are_refused(
    name: str, hyper: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        methods.create(name, **hyper)


# -- UMT ------------------------------------------------------------------------------------------------------------------------------
def test_teachers_are_uni_modal_networks_that_stay_as_they_are() -> None:
    dataset = tiny(shape=(1, 8, 8))  # encoders with batch norm
    run = start(methods.create("umt", epochs=2), dataset, epochs=2)
    before = copy.deepcopy(run.model.state_dict())
    run.method.begin_epoch(run)
    assert all(
        torch.equal(a, b)
        for a, b in zip(before.values(), run.model.state_dict().values(), strict=True)
    )
    teachers = copy.deepcopy(run.method.teachers)
    assert not same(teachers, run.model.encoders)
    for batch in run.batches():
        run.method.step(run, batch)
    assert same(teachers, run.method.teachers)
    assert [name for name, p in run.method.named_parameters() if p.requires_grad] == []


def test_a_teacher_knows_nothing_of_other_modalities() -> None:
    dataset = tiny()
    run, other = (start(methods.create("umt", epochs=1), dataset) for _ in range(2))
    other.train = type(other.train)(
        (other.train.inputs[0], torch.zeros_like(other.train.inputs[1])), other.train.target
    )
    for one in (run, other):
        one.method.begin_epoch(one)
    assert same(run.method.teachers[0], other.method.teachers[0])
    assert not same(run.method.teachers[1], other.method.teachers[1])


def test_a_student_equal_to_its_teacher_has_no_distillation_loss() -> None:
    run = start(methods.create("umt", epochs=1), tiny())
    run.method.begin_epoch(run)
    run.model.encoders.load_state_dict(run.method.teachers.state_dict())
    out = run.method.forward_pass(run, next(iter(run.batches())))
    assert float(run.method.objective(run, out).detach()) == float(out.loss.detach())


# -- PMR ------------------------------------------------------------------------------------------------------------------------------
def test_help_goes_to_the_slower_modality() -> None:
    assert help_weights(torch.tensor([4.0, 2.0]), 0.7, "step").tolist() == pytest.approx([0, 0.7])
    assert help_weights(torch.tensor([2.0, 2.0]), 0.7, "step").tolist() == [0, 0]
    assert help_weights(torch.tensor([3.0, 2.0, 1.0]), 1.0, "clip").tolist() == pytest.approx(
        [0, 0.5, 1]
    )


def test_prototypes_are_class_means_and_missing_classes_keep_theirs() -> None:
    run = start(methods.create("pmr", momentum=0.25), tiny(classes=3), batch_size=48)
    run.method.begin_epoch(run)
    run.model.eval()
    with torch.no_grad():
        features = run.model.features(run.inputs(run.train, torch.arange(48)).inputs)
    means = torch.stack([features[0][run.train.target == c].mean(0) for c in range(3)])
    torch.testing.assert_close(run.method.prototypes_0, means)
    first = run.method.prototypes_0.clone()
    run.train = run.train.take(torch.arange(48)[run.train.target != 1])
    with torch.no_grad():
        run.model.encoders[0].body[-2].bias.add_(1)
    run.method.begin_epoch(run)
    assert torch.equal(run.method.prototypes_0[1], first[1])
    with torch.no_grad():
        moved = run.model.features(run.inputs(run.train, torch.arange(len(run.train))).inputs)[0]
    expected = 0.25 * first[0] + 0.75 * moved[run.train.target == 0].mean(0)
    torch.testing.assert_close(run.method.prototypes_0[0], expected)


def test_a_class_without_prototype_counts_for_nothing() -> None:
    run = start(methods.create("pmr"), tiny())
    run.train = run.train.take(torch.arange(48)[run.train.target != 2])
    run.method.begin_epoch(run)
    assert run.method.known.tolist() == [True, True, False]
    whole = start(methods.create("pmr"), tiny())
    out = run.method.forward_pass(run, next(iter(whole.batches())))
    objective = run.method.objective(run, out)
    objective.backward()
    assert torch.isfinite(objective)
    assert all(torch.isfinite(p.grad).all() for p in run.model.encoders.parameters())
    assert max(run.method.report()["prototype_weight"]) == 1


# -- CML ------------------------------------------------------------------------------------------------------------------------------
def test_confidence_gain() -> None:
    larger = torch.tensor([[2.0, 0], [2, 0], [0.5, 0]])
    smaller = torch.tensor([[1.0, 0], [4, 0], [0, 3]])
    gain = confidence_gain(larger, smaller, torch.tensor([0, 0, 1]))
    sure = torch.sigmoid(torch.tensor([2.0, 4.0]))
    assert gain.tolist() == pytest.approx(
        [0, float(sure[1] - sure[0]), 0]
    )  # lower; higher; higher, but only the smaller set is right


def test_cml_trains_on_a_chain_of_subsets() -> None:
    run = start(methods.create("cml", lam=0.0), tiny(2))
    out = run.method.forward_pass(run, next(iter(run.batches())))
    weights, bias = run.model.weight_blocks(), run.model.fusion.bias
    alone = torch.stack([h @ w.T + bias for h, w in zip(out.features, weights, strict=True)])
    state = run.generator.get_state()
    objective = run.method.objective(run, out)
    run.generator.set_state(state)
    kept = torch.rand(2, len(alone[0]), generator=run.generator).argmax(
        0
    )  # the modality with the later place stays
    assert 0 < kept.sum() < len(kept)
    left = alone[kept, torch.arange(len(kept))]
    expected = (out.loss + run.loss_function(left, out.batch.target)) / 2
    torch.testing.assert_close(objective, expected)


def test_cml_of_one_modality_is_vanilla() -> None:
    dataset = tiny(1)
    assert same(
        fitted(methods.create("vanilla"), dataset).model,
        fitted(methods.create("cml"), dataset).model,
    )


# -- InfoReg --------------------------------------------------------------------------------------------------------------------------
def test_leads() -> None:
    assert leads(torch.tensor([-1.0, -3.0])).tolist() == [2, 0]
    assert leads(torch.tensor([-1.0, -2.0, -4.0])).tolist() == pytest.approx([2, 2, 0])
    assert leads(torch.zeros(3)).tolist() == [0, 0, 0]


def test_the_window_opens_where_information_grows() -> None:
    traces = torch.tensor([[1.0, 2.0, math.nan, 0.0], [2.0, 2.05, 3.0, 0.0]])
    assert window_open(traces, 0.04).tolist() == [True, False, False, False]


def test_the_pull_is_exact_and_spares_the_weakest() -> None:
    run = start(methods.create("inforeg", threshold=0.0, beta=0.5), tiny(noise=0.1))
    run.method.traces = torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    run.method.begin_epoch(run)
    begin = copy.deepcopy(run.model.encoders)
    batches = list(run.batches())
    for number, batch in enumerate(batches[:2]):
        out = run.method.forward_pass(run, batch)
        run.optimizer.zero_grad()
        run.method.backward(run, out)
        plain = [p.grad.clone() for p in run.model.encoders.parameters()]
        run.method.gradients(run, out)
        scores = -torch.stack([run.loss_function(a, batch.target) for a in out.sliced])
        weak = int(scores.argmin())
        alpha = torch.exp(0.5 * torch.tanh(scores.max() - scores.min()))
        for k, encoder in enumerate(run.model.encoders):
            names = [name for name, _ in run.model.encoders.named_parameters()]
            for (name, p), p0 in zip(
                encoder.named_parameters(), begin[k].parameters(), strict=True
            ):
                expected = (
                    plain[names.index(f"{k}.{name}")]
                    + (0 if k == weak else alpha) * (p - p0).detach()
                )
                torch.testing.assert_close(p.grad, expected)
                assert number or torch.equal(
                    p.grad, plain[names.index(f"{k}.{name}")]
                )  # the first step is vanilla's
        run.optimizer.step()


# -- MBSD -----------------------------------------------------------------------------------------------------------------------------
def test_distillation_is_zero_for_equal_logits_and_where_both_are_wrong() -> None:
    z = torch.tensor([[2.0, 0, 1], [0, 1, 0]])
    target = torch.tensor([0, 1])
    assert float(distillation(z, z.clone(), target)) == 0
    assert float(distillation(z, z.flip(1), torch.tensor([1, 2]))) == 0


def test_distillation_teaches_the_weak_side_only() -> None:
    first = torch.tensor([[3.0, 0, 0], [0, 0, 0.5]], requires_grad=True)
    second = torch.tensor([[1.0, 0, 0], [0, 0, 4.0]], requires_grad=True)
    loss = distillation(first, second, torch.tensor([0, 2]))
    grads = torch.autograd.grad(loss, [first, second])
    assert [[bool(row.any()) for row in grad] for grad in grads] == [[False, True], [True, False]]
    p, q = first.softmax(1)[0].detach(), second.softmax(1)[0].detach()
    only = distillation(first[:1], second[:1], torch.tensor([0]))
    torch.testing.assert_close(only, (p[0] - q[0]) * (4 / 3 + (p * (p / q).log()).sum()))


def test_mbsd_is_symmetric_and_without_distillation_a_sum_of_losses() -> None:
    run = start(methods.create("mbsd", lam=0.0), tiny(3))
    out = run.method.forward_pass(run, next(iter(run.batches())))
    total = out.loss + sum(
        (run.loss_function(a, out.batch.target) for a in run.model.sliced(out.features)),
        torch.zeros(()),
    )
    torch.testing.assert_close(run.method.objective(run, out), total)
    a, b = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))
    target = torch.arange(8) % 3
    torch.testing.assert_close(distillation(a, b, target), distillation(b, a, target))


# -- ReconBoost -----------------------------------------------------------------------------------------------------------------------
def test_boosting_weights() -> None:
    logits, target = (
        torch.randn(8, 3, generator=torch.Generator().manual_seed(0)),
        torch.arange(8) % 3,
    )
    plain = torch.nn.functional.cross_entropy(logits, target)
    torch.testing.assert_close(
        boosting_loss(logits, logits.flip(0), target, 5.0, 0.0), 5 / 3 * plain
    )
    sure = 1e3 * torch.nn.functional.one_hot(target, 3).float()  # the others are right: q(y) = 1
    torch.testing.assert_close(boosting_loss(logits, sure, target, 5.0, 1.0), 4 / 3 * plain)


def test_an_own_phase_trains_one_encoder_and_the_shared_head() -> None:
    run = start(
        methods.create("reconboost", alpha=0.0, w2=0.0, joint_epochs=0),
        tiny(3, (1, 8, 8)),
        weight_decay=0.0,
    )  # encoders with batch norm
    reference = copy.deepcopy(run.model)
    optimizer = run.new_optimizer([reference])
    run.epoch = 1  # the second stage: modality 1
    run.method.begin_epoch(run)
    for batch in list(run.batches())[:2]:
        run.method.step(run, batch)
        optimizer.zero_grad()
        (
            5
            / 3
            * run.loss_function(
                reference.heads[0](reference.encoders[1](batch.inputs[1])), batch.target
            )
        ).backward()
        optimizer.step()
    for (name, a), b in zip(
        run.model.state_dict().items(), reference.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7, msg=name)
        if not name.startswith(("encoders.1", "heads.0")):
            assert torch.equal(a, b), name
    assert float(run.method.rho.detach()) == 1
    assert [encoder.training for encoder in run.model.encoders] == [True] * 3


def test_alignment_pulls_towards_the_modality_before_and_begins_with_the_second_stage() -> None:
    runs = [
        start(methods.create("reconboost", alpha=alpha, w1=1.0, w2=1.0), tiny(2))
        for alpha in (0.0, 100.0)
    ]
    batch = next(iter(runs[0].batches()))
    for epoch, alike in ((0, True), (2, False)):
        for run in runs:
            run.epoch = epoch
            run.method.step(run, batch)
        assert same(runs[0].model, runs[1].model) is alike


def test_a_joint_phase_trains_everything_on_the_ensemble() -> None:
    run = start(methods.create("reconboost", rho=0.5), tiny(2))
    before = copy.deepcopy(run.model)
    batch = next(iter(run.batches()))
    run.optimizer.state[run.method.rho]["momentum_buffer"] = torch.ones(())
    run.epoch = 1
    run.method.begin_epoch(run)
    assert not run.optimizer.state
    out = run.method.step(run, batch)
    torch.testing.assert_close(out.logits, 0.5 * sum(before.heads[0](h) for h in out.features))
    assert float(run.method.rho.detach()) != 0.5
    assert not any(
        same(a, b)
        for a, b in zip(
            [*run.model.encoders, run.model.heads[0]],
            [*before.encoders, before.heads[0]],
            strict=True,
        )
    )
    assert same(run.model.fusion, before.fusion)


@pytest.mark.parametrize("name", methods.available())
def test_unknown_hyper_parameters_are_refused(name: str) -> None:
    for wrong in ("hyper", "more", "alhpa"):
        for make in (methods.get(name), partial(methods.create, name)):
            with pytest.raises(TypeError, match=wrong):
                make(**{wrong: 1})


# ------------------------------------------------------------------------------------------ a method of one's own


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (
            "class Mine(:",
            ImportError,
            r"the methods in mimo_sim\.methods\.mine_a0 cannot be imported: SyntaxError",
        ),
        (
            "import nothing_of_this_name",
            ImportError,
            r"mimo_sim\.methods\.mine_a1 cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'",
        ),
        (
            "from mimo_sim.methods.vanilla import Vanilla\nclass Mine(Vanilla): pass",
            ImportError,
            "two methods are called 'vanilla', in .*mine_a2.*set `name` in the class",
        ),
        (
            "from mimo_sim.methods.vanilla import Vanilla\nclass Mine(Vanilla):\n    name = 'mine'\n    def __init__(self, alpha): super().__init__()",
            ImportError,
            "method 'mine' in .*mine_a3: give alpha a default value",
        ),
        (
            "from mimo_sim.methods._base import Method\nclass Mine(Method):\n    name = 'mine'\n    def __init__(self, alpha=1.0): super().__init__()",
            TypeError,
            r"method 'mine' in .*mine_a4 must hand all hyper-parameters to super\(\).__init__. Missing: alpha",
        ),
        (
            "from mimo_sim.methods._base import Method\nclass Mine(Method):\n    name = 'mine'\n    def __init__(self, alpha=1.0): pass",
            TypeError,
            r"method 'mine' in .*mine_a5 must call super\(\).__init__",
        ),
    ],
)
def test_faults_of_a_new_file_are_named(
    source: str,
    error: type[Exception],
    words: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number = request.node.callspec.indices["source"]
    (tmp_path / f"mine_a{number}.py").write_text(source)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    methods._registry.cache_clear()
    try:
        with pytest.raises(error, match=words):
            methods.create("mine")
    finally:
        sys.modules.pop(f"mimo_sim.methods.mine_a{number}", None)
        methods._registry.cache_clear()
