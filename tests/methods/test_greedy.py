"""Greedy, and the conditional utilisation rate."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mimo_sim import methods
from mimo_sim.methods.greedy import leads, relative_size, speeds
from mimo_sim.networks.mmtm import MMTM
from mimo_sim.training import train
from mimo_sim.training.evaluation import encode
from mimo_sim.training.utilisation import conditional_utilisation, mean_signals
from tests.methods.helpers import (
    gradients,
    noisy_means,
    one_batch,
    same,
    same_state,
    set_up,
    trained,
)
from tests.networks import SETTINGS, tiny

positive = st.floats(1e-6, 1e6)


def run_of(modalities: int = 2, **hyper: Any) -> Any:
    """A run before its first step, in an epoch that may be re-balanced."""
    run = set_up(methods.create("greedy", **hyper), noisy_means(modalities))
    run.generator.manual_seed(0)
    run.epoch = 1
    return run


def parameter(value: float, gradient: float | None) -> nn.Parameter:
    found = nn.Parameter(torch.tensor([value], dtype=torch.float64))
    if gradient is not None:
        found.grad = torch.tensor([gradient], dtype=torch.float64)
    return found


# ---------------------------------------------------------------------------- the measure


def test_speeds_are_ratios_of_sums_over_steps() -> None:
    cross, own = torch.tensor([0.034, 0.01]), torch.tensor([0.01, 0.09])
    torch.testing.assert_close(leads(speeds(2 * cross, 2 * own)), leads(speeds(cross, own)))


@given(st.lists(st.tuples(positive, positive), min_size=2, max_size=4))
def test_leads_add_up_to_nothing_and_equal_branches_have_none(sizes: list[Any]) -> None:
    cross, own = torch.tensor(sizes, dtype=torch.float64).T
    found = leads(speeds(cross, own))
    assert float(found.sum()) == pytest.approx(0, abs=1e-9)
    assert leads(speeds(cross[:1].expand(3), own[:1].expand(3))).abs().max() < 1e-9


def test_parameters_without_a_gradient_count_as_still() -> None:
    still = parameter(3, None)
    assert float(relative_size([parameter(4, 0.5), still])) == pytest.approx(0.25 / 25)
    assert float(relative_size([still])) == 0


# ---------------------------------------------------------------------------- the step


def test_the_sizes_are_those_of_gates_and_branches() -> None:
    run = run_of()
    out = run.method.forward_pass(run, one_batch(run))
    run.method.backward(run, out)
    cross, own = run.method.sizes(run.model)
    for k in range(2):
        sums = {"own": [0.0, 0.0], "cross": [0.0, 0.0]}
        for name, p in run.model.named_parameters():
            words = name.split(".")
            if name.startswith("gates") and words[2] in ("squeeze", "excite"):
                mine = "cross" if words[2] == "squeeze" or words[3] == str(k) else ""
            else:
                mine = "own" if words[:2] in ([x, str(k)] for x in ("encoders", "heads")) else ""
            if mine:
                sums[mine][0] += float(p.grad.square().sum())
                sums[mine][1] += float(p.detach().square().sum())
        assert float(cross[k]) == pytest.approx(sums["cross"][0] / sums["cross"][1], rel=1e-5)
        assert float(own[k]) == pytest.approx(sums["own"][0] / sums["own"][1], rel=1e-5)


def test_the_loss_is_that_of_the_branches_and_the_joint_output_their_mean() -> None:
    run = run_of()
    batch = one_batch(run)
    out = run.method.forward_pass(run, batch)
    plain = run.model.features(batch.inputs)
    outputs = run.model.head_logits(plain)
    losses = [nn.functional.cross_entropy(v, batch.target) for v in outputs]
    torch.testing.assert_close(run.method.objective(run, out), losses[0] + losses[1])
    torch.testing.assert_close(out.logits, (outputs[0] + outputs[1]) / 2)
    run.method.backward(run, out)
    assert all(p.grad is None for p in run.model.head.parameters())


def freeze(run: Any, k: int, left: int = 3) -> None:
    run.method.frozen[k], run.method.left[...] = True, left


@pytest.mark.parametrize("modalities", [2, 3])
@pytest.mark.parametrize("k", [0, 1])
def test_a_frozen_branch_hears_nothing_of_the_others(k: int, modalities: int) -> None:
    run = run_of(modalities)
    for _ in range(2):
        run.method.step(run, one_batch(run))  # so that there are mean gates
    run.method.frozen.zero_()
    batch = one_batch(run)
    for x in batch.inputs:
        x.requires_grad_()
    for frozen in (False, True):
        if frozen:
            freeze(run, k)
        out = run.method.forward_pass(run, batch)
        outputs = run.method.unimodal_outputs(run.model, out.features)
        assert outputs is not None
        for j, v in enumerate(outputs):
            found = torch.autograd.grad(v.square().sum(), batch.inputs, retain_graph=True)
            for i, each in enumerate(found):
                deaf = frozen and j == k and i != k
                assert bool(each.abs().max() == 0) == deaf
    run.optimizer.zero_grad()
    run.method.backward(run, out)
    for gate in run.model.gates:
        for j, excite in enumerate(gate.excite):
            assert bool(excite.weight.grad.abs().max() == 0) == (j == k)
        assert gate.squeeze.weight.grad.abs().max() > 0  # through the gates of the others


def test_constant_gates_are_the_means_of_all_steps_so_far() -> None:
    run = run_of(eps=math.inf)
    seen: list[Tensor] = []
    for start in (0, 16, 32):
        batch = run.inputs(run.train, torch.arange(start, start + 16))
        found: list[Tensor] = []

        def listen(number: int, gate: Any, signals: Any, found: list[Tensor] = found) -> Any:
            found += [v.detach().mean(0) for v in gate.values(gate.means(signals))]
            return gate.values(gate.means(signals))

        run.model.features(batch.inputs, listen)
        seen.append(torch.cat(found))
        run.method.step(run, batch)
    torch.testing.assert_close(run.method.mean_gates.mean(), torch.stack(seen).mean(0))


def test_a_frozen_branch_has_these_constants_as_its_gates() -> None:
    run = run_of()
    run.method.step(run, one_batch(run))
    run.method.frozen.zero_()
    batch, modalities = one_batch(run), 2
    constants = run.method.mean_gates.mean().split(run.method.channels)

    def gating(number: int, gate: Any, signals: Any) -> list[Tensor]:
        free = gate.values(gate.means(signals))
        return [free[0], constants[number * modalities + 1][None]]

    expected = run.model.features(batch.inputs, gating)
    freeze(run, 1)
    out = run.method.forward_pass(run, batch)
    for mine, other in zip(out.features, expected, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("steps", [1, 3])
def test_exactly_so_many_steps_are_re_balanced(steps: int) -> None:
    run = run_of(eps=0.0, steps=steps)
    run.epoch = 0
    shares, sums = [], []
    for number in range(4 + 2 * (steps + 1)):
        run.epoch = int(number >= 3)
        run.method.step(run, one_batch(run))
        shares.append(bool(run.method.frozen.any()))
        sums.append(float(run.method.own.sum()))
    # the first epoch only measures; the step after it decides, and from then on it repeats
    assert shares[:3] == [False] * 3
    assert shares[3:] == ([True] * steps + [False]) * 2 + [True]
    grown = [after > before for before, after in pairwise(sums)]
    assert grown == [True] * 3 + ([False] * steps + [True]) * 2  # nothing is added meanwhile
    assert int(run.method.frozen.sum()) == 1


@pytest.mark.parametrize(("leader", "factor"), [(0, 100.0), (1, 0.01)])
def test_the_branch_that_leads_is_frozen(leader: int, factor: float) -> None:
    run = run_of(eps=1.0)
    run.method.step(run, one_batch(run))
    run.method.frozen.zero_()
    run.method.cross.copy_(torch.tensor([factor, 1.0]) * 100)
    run.method.own.fill_(100.0)
    run.method.step(run, one_batch(run))
    assert run.method.frozen.tolist() == [leader == 0, leader == 1]


def test_random_steps_draw_every_branch_and_none() -> None:
    run = run_of(3, rule="random")
    drawn = []
    for _ in range(300):
        run.method.forward_pass(run, one_batch(run, 2))
        drawn.append(run.method.frozen.tolist())
    counts = [sum(each[k] for each in drawn) for k in range(3)]
    counts.append(sum(not any(each) for each in drawn))
    assert sum(counts) == 300
    assert all(abs(count - 75) < 5 * math.sqrt(300 * 3 / 16) for count in counts)


# ---------------------------------------------------------------------------- limits


@pytest.mark.parametrize("modalities", [2, 3])
def test_switched_off_it_is_joint_training_bit_for_bit(modalities: int) -> None:
    data, settings = noisy_means(modalities), {"fusion": "mmtm"}
    off = trained(methods.create("greedy", eps=math.inf, output="joint"), data, **settings)
    assert same_state(off.model, trained(methods.create("vanilla"), data, **settings).model)


def test_without_re_balancing_the_rules_agree_and_with_it_they_do_not() -> None:
    data = noisy_means()
    off, late, random = (
        trained(methods.create("greedy", **hyper), data).model
        for hyper in ({"eps": math.inf}, {"start": 3}, {"rule": "random", "start": 3})
    )
    assert same_state(off, late)
    assert same_state(off, random)
    on = trained(methods.create("greedy", eps=0.0), data).model
    assert not same_state(off, on)


def test_equal_branches_with_equal_data_have_no_lead() -> None:
    run = run_of()
    model, batch = run.model, one_batch(run)
    model.encoders[1].load_state_dict(model.encoders[0].state_dict())
    model.heads[1].load_state_dict(model.heads[0].state_dict())
    batch.inputs[1].copy_(batch.inputs[0])
    for gate in model.gates:
        gate.excite[1].load_state_dict(gate.excite[0].state_dict())
        half = gate.squeeze.weight.shape[1] // 2
        with torch.no_grad():
            gate.squeeze.weight[:, half:] = gate.squeeze.weight[:, :half]
    for _ in range(3):
        run.method.step(run, batch)
        lead = leads(speeds(run.method.cross, run.method.own))
        assert float(lead.abs().max()) < 1e-5  # float32
    assert same(gradients(model.encoders[0]), gradients(model.encoders[1]))


@pytest.mark.parametrize(
    ("hyper", "words"),
    [
        ({"eps": -0.1}, "`eps` must be >= 0"),
        ({"eps": math.nan}, "`eps` must be >= 0"),
        ({"steps": 0}, "`steps` must be >= 1"),
        ({"start": -1}, "`start` must be >= 0"),
        ({"rule": "wild"}, "`rule` must be one of"),
        ({"output": "concat"}, "`output` must be one of"),
    ],
)
def test_bad_input_is_refused(hyper: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        methods.create("greedy", **hyper)


def test_it_needs_gates_and_two_modalities() -> None:
    words = "method 'greedy' needs gates between the encoders, .* Got fusion 'late'"
    with pytest.raises(ValueError, match=words):
        train("greedy", tiny(), epochs=1, **SETTINGS)
    with pytest.raises(ValueError, match="at least 2 modalities"):
        train("greedy", tiny(shapes=((6,),)), epochs=1, fusion="mmtm", **SETTINGS)


# ---------------------------------------------------------------------------- utilisation


def test_utilisation_is_what_a_branch_loses_without_the_other() -> None:
    run = trained(methods.create("greedy"), noisy_means(noise=1.5), epochs=8, lr=0.2)
    (found,) = conditional_utilisation(cast(Any, run), [run.validation])
    model, target = run.model, run.validation.target
    assert isinstance(model, MMTM)
    means = mean_signals(cast(Any, run), run.train)
    plain = encode(cast(Any, run), run.validation).features
    model.eval()
    for k in range(2):
        # by hand: the other's signals are replaced where the gates look, one branch at a time
        def gating(number: int, gate: Any, signals: Any, k: int = k) -> list[Tensor]:
            told = list(gate.means(signals))
            told[1 - k] = means[number][1 - k].expand_as(told[1 - k])
            return cast("list[Tensor]", gate.values(told))

        with torch.no_grad():
            cut = model.features(
                run.inputs(run.validation, torch.arange(len(target))).inputs, gating
            )
            pair = [model.heads[k](h[k]).argmax(1) == target for h in (plain, cut)]
        whole, less = (float(each.float().mean()) for each in pair)
        assert found[k] == pytest.approx((whole - less) / whole)
    assert np.isfinite(found).all()


def test_the_means_are_those_of_the_whole_split() -> None:
    run = run_of()
    run.model.eval()
    found = mean_signals(run, run.train)
    body = run.inputs(run.train, torch.arange(len(run.train)))
    seen: list[list[Tensor]] = []

    def listen(number: int, gate: Any, signals: Any) -> Any:
        seen.append([x.mean(0) for x in gate.means(signals)])
        return gate.values(gate.means(signals))

    run.model.features(body.inputs, listen)
    for one, other in zip(found, seen, strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b)


def test_figures_of_a_network_with_gates_have_it_and_others_do_not() -> None:
    for method, fusion, there in (
        ("mimo", "mmtm", True),
        ("vanilla", "mmtm", False),
        ("mimo", "late", False),
    ):
        found = train(method, tiny(), epochs=1, fusion=fusion, **SETTINGS).metrics["test"]
        assert ("utilisation" in found) == there
        if there:
            assert set(found["utilisation"]) == {"m1", "m2"}
    late = set_up(methods.create("mimo"), noisy_means())
    with pytest.raises(ValueError, match="needs gates between the encoders"):
        conditional_utilisation(late, [late.validation])
    plain = set_up(methods.create("vanilla"), noisy_means(), fusion="mmtm")
    with pytest.raises(ValueError, match="needs a method that trains a head"):
        conditional_utilisation(plain, [plain.validation])
