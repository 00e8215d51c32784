"""Fusion networks: outputs, absent modalities, what methods need of them, records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mimo_sim import benchmark, methods, networks
from mimo_sim.networks import encoders
from mimo_sim.networks.mmtm import MMTM, Gate, merged, stages
from mimo_sim.training import Settings, records, train
from tests.networks import SETTINGS, tiny

SHAPES = [(1, 8, 8), (5,), (4, 6)]
INDEPENDENT = [name for name in networks.available() if networks.get_network(name).separate]


def network(name: str, **options: Any) -> networks.FusionNetwork:
    """A picture, a vector and a sequence; seeded."""
    torch.manual_seed(0)
    own = [encoders.make_encoder(shape, width=8) for shape in SHAPES]
    model = networks.get_network(name)(own, [8] * 3, 4, shapes=SHAPES, **options)
    return model.eval()


def inputs(seed: int = 1) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(6, *shape, generator=generator) for shape in SHAPES]


@pytest.mark.parametrize("name", networks.available())
def test_outputs_have_their_shapes_and_every_modality_matters(name: str) -> None:
    model, x = network(name), inputs()
    z = model(x)
    assert z.shape == (6, 4)
    assert [v.shape for v in model.head_logits(model.features(x))] == [(6, 4)] * 3
    for k in range(3):
        changed = [inputs(2)[j] if j == k else each for j, each in enumerate(x)]
        assert not torch.allclose(model(changed), z)
    z.square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert all(name.startswith("heads.") for name in without)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_masked_outputs_hear_nothing_of_the_other_modalities(name: str) -> None:
    model, x = network(name, unimodal="masked"), inputs()
    alone = model.head_logits(model.features(x))
    for k in range(3):
        others = [x[j] if j == k else each for j, each in enumerate(inputs(2))]
        torch.testing.assert_close(model.head_logits(model.features(others))[k], alone[k])
        assert not torch.allclose(alone[k], model(x))


def test_masked_outputs_of_late_fusion_are_its_slices_with_the_whole_bias() -> None:
    model, x = network("late", unimodal="masked"), inputs()
    features = model.features(x)
    bias = model.fusion.bias
    for v, a in zip(model.head_logits(features), model.sliced(features), strict=True):
        torch.testing.assert_close(v, a + bias * 2 / 3)


def test_attention_over_one_modality_is_that_over_its_tokens() -> None:
    """Absent tokens are not zero tokens: the class token cannot see them."""
    model = network("attention")
    features = model.features(inputs())
    silent = [features[0], torch.zeros(6, 8), torch.zeros(6, 8)]
    assert not torch.allclose(model.only(features, 0), model.fuse(silent))


def test_film_without_others_is_a_linear_head() -> None:
    model = network("film")
    for modulation in model.get_submodule("modulations").children():
        for parameter in modulation.parameters():
            nn.init.zeros_(parameter)
    features = model.features(inputs())
    head = model.get_submodule("head")
    torch.testing.assert_close(model.fuse(features), head(features[-1]))


def test_a_gate_with_zero_weights_changes_nothing() -> None:
    gate = Gate([3, 2])
    for excite in gate.excite:
        for parameter in excite.parameters():
            nn.init.zeros_(parameter)
    signals = [torch.randn(4, 3, 5, 5), torch.randn(4, 2)]
    for before, after in zip(signals, gate(signals), strict=True):
        torch.testing.assert_close(after, before)


def test_encoders_are_cut_behind_activations_and_stay_what_they_are() -> None:
    lenet = encoders.make_encoder((1, 28, 28), "lenet", 8)
    parts = stages(lenet)
    assert [sum(1 for _ in part.children()) for part in parts] == [4, 4, 3]
    x = torch.randn(5, 1, 28, 28)
    expected = lenet.eval()(x)
    for depth in (1, 2, 3):
        y = x
        for part in merged(parts, depth):
            y = part(y)
        torch.testing.assert_close(y, expected)
    assert len(stages(encoders.make_encoder((4, 6), "gru", 8))) == 1
    frames = encoders.make_encoder((1, 3, 28, 28), "frames", 8)
    assert len(stages(frames)) == 3


def test_gates_make_features_depend_on_all_inputs() -> None:
    model = network("mmtm")
    assert isinstance(model, MMTM)
    assert model.depth == 1  # a GRU is one stage
    x = inputs()
    mixed = [x[0], *inputs(2)[1:]]
    assert not torch.allclose(model.features(x)[0], model.features(mixed)[0])
    with pytest.raises(ValueError, match="`unimodal` must be 'heads' in the fusion network 'mmtm'"):
        network("mmtm", unimodal="masked")


@pytest.mark.parametrize("fusion", networks.available())
@pytest.mark.parametrize("method", methods.available())
def test_a_method_trains_in_a_network_or_is_refused_by_name(method: str, fusion: str) -> None:
    known = methods.get(method)
    refusal = known.refusal("classification", 2, networks.get_network(fusion))
    if refusal:
        assert f"{method!r}" in refusal
        assert f"fusion {fusion!r}" in refusal
        with pytest.raises(ValueError, match=f"Got fusion '{fusion}'"):
            train(method, tiny(), epochs=1, fusion=fusion, **SETTINGS)
        return
    if fusion == "late":
        return  # tests/methods
    data = tiny(shapes=((1, 8, 8), (5,)))
    masked = known.needs == "joint" and networks.get_network(fusion).separate
    for unimodal in ["heads", *["masked"] * masked]:
        result = train(method, data, epochs=1, fusion=fusion, unimodal=unimodal, **SETTINGS)
        assert "sliced" not in result.metrics["test"]["unimodal"]
        assert 0 <= result.metrics["test"]["accuracy"] <= 1


@pytest.mark.parametrize("fusion", [name for name in networks.available() if name != "late"])
def test_networks_learn(fusion: str) -> None:
    result = train("linear_scalarization", tiny(), epochs=12, fusion=fusion, **SETTINGS)
    assert result.metrics["test"]["accuracy"] > 0.8


@pytest.mark.parametrize("name", INDEPENDENT)
def test_masked_losses_train_the_fusion_and_those_of_heads_do_not(name: str) -> None:
    for unimodal in ("heads", "masked"):
        model = network(name, unimodal=unimodal)
        outputs = model.head_logits(model.features(inputs()))
        torch.stack(outputs).square().sum().backward()  # type: ignore[no-untyped-call]
        apart = ("encoders.", "heads.")
        fusion = [p.grad for key, p in model.named_parameters() if not key.startswith(apart)]
        heads = [p.grad for p in model.heads.parameters()]
        masked = unimodal == "masked"
        assert all((gradient is not None) == masked for gradient in fusion)
        assert all((gradient is None) == masked for gradient in heads)


def test_records_from_before_say_the_same() -> None:
    plain = Settings(epochs=1)
    assert {"fusion", "unimodal"}.isdisjoint(plain.described())
    other = Settings(epochs=1, fusion="film", unimodal="masked").described()
    assert (other["fusion"], other["unimodal"]) == ("film", "masked")
    about = records.describe(methods.create("vanilla"), tiny(), plain)
    assert "fusion" not in about["settings"]


def test_bad_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`fusion` must be one of .* Did you mean 'attention'"):
        Settings(epochs=1, fusion="atention")
    with pytest.raises(ValueError, match="`fusion` must be one of"):
        Settings(epochs=1, fusion=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`unimodal` must be one of"):
        Settings(epochs=1, unimodal="mask")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the fusion 'film' is no sum over modalities"):
        network("film").weight_blocks()


def test_all_methods_of_a_plan_suit_the_network(tmp_path: Path) -> None:
    options = {"epochs": 1, "fusion": "mmtm"}
    jobs = benchmark.plan("digits", ["all"], [0], options)
    expected = {"vanilla", "linear_scalarization", "mimo", "greedy"}
    assert {job.method for job in jobs} == expected
    assert {"ogm", "mgda"} <= {*benchmark.refused_methods("digits", "mmtm")}
    with pytest.raises(ValueError, match="method 'ogm' needs a joint output that is a sum"):
        benchmark.plan("digits", ["ogm"], [0], options | {"fusion": "film"})


@pytest.mark.parametrize("unimodal", ["heads", "masked"])
def test_teachers_learn_whatever_their_outputs_come_from(unimodal: str) -> None:
    settings: dict[str, Any] = {"fusion": "attention", "unimodal": unimodal} | SETTINGS
    result = train(methods.create("g2d", epochs=25), tiny(), epochs=1, **settings)
    _, outputs = result.method.lesson  # type: ignore[misc]
    shares = [float((v.argmax(1) == tiny().train.target).float().mean()) for v in outputs]
    assert min(shares) > 0.6, shares
