"""RollingQ."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim import methods
from mimo_sim.methods.rollingq import balance_anchor, plane_rotation, share_of_first
from mimo_sim.networks.attention import AttentionFusion, turned_block
from mimo_sim.training import train
from tests.methods.helpers import noisy_means, one_batch, same_state, set_up, trained
from tests.networks import SETTINGS, tiny

QUERY = torch.tensor([2.0, 0, 0], dtype=torch.float64)
KEYS = torch.tensor([[0.0, 3, 0], [0, 0, 1]], dtype=torch.float64)

seeds = st.integers(0, 2**20)


def vectors(seed: int, count: int, size: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator, dtype=torch.float64)


# ---------------------------------------------------------------------------- arithmetic


def test_without_imbalance_or_rho_the_anchor_is_in_the_middle() -> None:
    assert share_of_first(0.0, 3.0) == share_of_first(1.7, 0.0) == 0.5
    assert share_of_first(0.5, 2.0) < 0.5 < share_of_first(-0.5, 2.0)


@given(seeds)
def test_a_rotation_turns_one_vector_onto_the_other_and_nothing_else(seed: int) -> None:
    source, target, third = vectors(seed, 3)
    turn = plane_rotation(source, target)
    assert turn is not None
    torch.testing.assert_close(turn.T @ turn, torch.eye(6, dtype=torch.float64))
    assert float(torch.linalg.det(turn)) == pytest.approx(1)
    reached = turn @ source
    torch.testing.assert_close(reached, target * (source.norm() / target.norm()))
    assert float((source @ turn.T).norm()) == pytest.approx(float(source.norm()))
    basis = torch.linalg.qr(torch.stack([source, target], dim=1))[0]
    rest = third - basis @ (basis.T @ third)  # orthogonal to both
    torch.testing.assert_close(turn @ rest, rest, rtol=1e-7, atol=1e-9)


@given(seeds, st.floats(0, 1))
def test_the_anchor_is_as_long_as_the_query_and_between_the_keys(seed: int, share: float) -> None:
    query, *keys = vectors(seed, 3)
    anchor = balance_anchor(query, torch.stack(keys), share)
    assert anchor is not None
    assert float(anchor.norm()) == pytest.approx(float(query.norm()))
    if share == 0.5:
        one, two = (float(F.cosine_similarity(anchor, key, dim=0)) for key in keys)
        assert one == pytest.approx(two)


def test_where_nothing_is_defined_there_is_no_rotation() -> None:
    assert balance_anchor(QUERY, torch.stack([KEYS[0], -2 * KEYS[0]]), 0.5) is None
    assert balance_anchor(QUERY, 0 * KEYS, 0.3) is None
    assert plane_rotation(QUERY, -3 * QUERY) is None
    assert plane_rotation(0 * QUERY, QUERY) is None
    turn = plane_rotation(QUERY, 5 * QUERY)
    assert turn is not None
    assert torch.equal(turn, torch.eye(3, dtype=torch.float64))


# ---------------------------------------------------------------------------- in the network


def started(**hyper: Any) -> Any:
    run = set_up(methods.create("rollingq", **hyper), noisy_means())
    run.model.train()
    return run


def test_a_turned_block_with_no_turn_is_the_block() -> None:
    run = started()
    layer, x = run.model.blocks.layers[0], torch.randn(5, 9, 8)
    torch.testing.assert_close(turned_block(layer, x, torch.eye(8)), layer(x))
    turn = plane_rotation(*torch.randn(2, 8))
    assert turn is not None
    turned = turned_block(layer, x, turn)
    assert not torch.allclose(turned[:, 0], layer(x)[:, 0])
    torch.testing.assert_close(turned[:, 1:], layer(x)[:, 1:])  # the other queries stay


def test_queries_and_keys_are_those_that_attention_compares() -> None:
    run = started()
    model = cast(AttentionFusion, run.model)
    layer = cast(Any, model.blocks.layers[0])
    features = model.features(one_batch(run).inputs)
    query, keys = model.query_and_keys(features)
    inside: list[Tensor] = []
    handle = layer.norm1.register_forward_hook(lambda *given: inside.append(given[-1]))
    model.fuse(features)
    handle.remove()
    width = query.shape[1]
    parts = F.linear(inside[0], layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias)
    torch.testing.assert_close(query, parts[:, 0, :width])
    for k in range(2):
        tokens = parts[:, 1 + 4 * k : 5 + 4 * k, width : 2 * width]
        torch.testing.assert_close(keys[:, k], tokens.mean(1))


def test_after_a_rotation_the_query_is_as_near_to_both_keys() -> None:
    run = started(rotations=2)
    before = float(run.method.attention(run)[0])
    assert abs(before) > 0.01
    run.method.end_epoch(run)
    assert float(run.method.imbalance) == pytest.approx(before)
    _, query, keys = run.method.attention(run)
    one, two = (float(F.cosine_similarity(query, key, dim=0)) for key in keys)
    assert one == pytest.approx(two, abs=1e-5)  # with rho = 0 the anchor is in the middle
    assert abs(float(run.method.attention(run)[0])) < 0.5 * abs(before)
    run.method.end_epoch(run)
    assert int(run.method.count) == 2
    turn = run.method.rotation
    torch.testing.assert_close(turn @ turn.T, torch.eye(len(turn)), rtol=1e-5, atol=1e-5)
    run.method.end_epoch(run)
    assert torch.equal(run.method.rotation, turn)  # there are no more


def test_with_rho_the_query_leans_to_the_modality_that_gets_less() -> None:
    run = started(rho=5.0)
    imbalance, *_ = run.method.attention(run)
    run.method.end_epoch(run)
    _, query, keys = run.method.attention(run)
    one, two = (float(F.cosine_similarity(query, key, dim=0)) for key in keys)
    assert (one > two) == (float(imbalance) < 0)


@pytest.mark.parametrize("off", [{"beta": 2.0}, {"rotations": 0}])
def test_switched_off_it_is_attention_fusion_bit_for_bit(off: dict[str, Any]) -> None:
    data = noisy_means()
    run = trained(methods.create("rollingq", **off), data)
    plain = trained(methods.create("vanilla"), data, fusion="attention")
    assert same_state(run.model, plain.model)
    assert run.method.report()["rotations"] == 0


def test_switched_on_it_is_not() -> None:
    data = noisy_means()
    run = trained(methods.create("rollingq"), data)
    assert not same_state(
        run.model, trained(methods.create("vanilla"), data, fusion="attention").model
    )
    assert run.table[-1]["rotations"] == 1


def test_the_rotation_is_a_constant_and_everything_else_learns() -> None:
    run = started()
    run.method.end_epoch(run)
    out = run.method.forward_pass(run, one_batch(run))
    run.method.backward(run, out)
    assert not run.method.rotation.requires_grad
    without = [name for name, p in run.model.named_parameters() if p.grad is None]
    assert all(name.startswith("heads.") for name in without)


@pytest.mark.parametrize(
    ("hyper", "words"),
    [
        ({"rotations": -1}, "`rotations` must be >= 0"),
        ({"beta": -1.0}, "`beta` must be finite and >= 0"),
        ({"rho": float("nan")}, "`rho` must be finite and >= 0"),
    ],
)
def test_bad_input_is_refused(hyper: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        methods.create("rollingq", **hyper)


def test_it_needs_attention_and_two_modalities() -> None:
    words = "method 'rollingq' needs a class token .* Got fusion 'mmtm'"
    with pytest.raises(ValueError, match=words):
        train("rollingq", tiny(), epochs=1, fusion="mmtm", **SETTINGS)
    three = tiny(shapes=((6,), (5,), (4,)))
    with pytest.raises(ValueError, match="at most 2 modalities"):
        train("rollingq", three, epochs=1, fusion="attention", **SETTINGS)


def test_equal_modalities_get_equal_attention_and_no_rotation() -> None:
    run = started()
    model = run.model
    model.encoders[1].load_state_dict(model.encoders[0].state_dict())
    model.maps[1].load_state_dict(model.maps[0].state_dict())
    with torch.no_grad():
        model.places[1] = model.places[0]
    for split in (run.train, run.validation):
        split.inputs[1].copy_(split.inputs[0])
    imbalance, _, keys = run.method.attention(run)
    assert float(imbalance) == 0
    assert torch.equal(keys[0], keys[1])
    run.method.end_epoch(run)
    assert int(run.method.count) == 0
