"""LoRA and MokA around linear layers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mimo_sim.language import LoRALinear, MokALinear, Routing, adapt
from mimo_sim.language.adapters import between_first_and_last
from tests.methods.references import MOKA, moka_rows

KINDS = torch.tensor([[0, 0, 1, 2, 1, 0]])  # text, text, sound, picture, sound, text
QUESTION = torch.tensor([[True, True, False, False, False, False]])


def moka(weight: float = 1.0, seed: int = 0, **more: Any) -> tuple[MokALinear, Routing]:
    """A layer 3 -> 4 whose B is not zero, in evaluation mode."""
    torch.manual_seed(seed)
    routing = Routing()
    layer = MokALinear(nn.Linear(3, 4), 2, modalities=2, weight=weight, routing=routing, **more)
    nn.init.normal_(layer.up)
    return layer.eval(), routing


def tokens(batch: int = 2, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 6, 3, generator=generator)


@pytest.mark.parametrize("reference", MOKA, ids=[one.what for one in MOKA])
def test_the_rows_are_those_of_the_released_code(reference: Any) -> None:
    assert reference.apart() <= reference.within


def test_a_sample_of_its_own_has_the_same_rows_in_a_batch() -> None:
    whole = torch.tensor([[True, True, False, False]])
    first = torch.tensor([[True, False, False, False]])
    both = moka_rows(torch.cat([whole, first]))
    torch.testing.assert_close(both[0], moka_rows(whole)[0])
    torch.testing.assert_close(both[1], moka_rows(first)[0])


def test_new_adapters_change_nothing() -> None:
    base = nn.Linear(3, 4)
    routing = Routing()
    layers = [LoRALinear(base, 2), MokALinear(base, 2, modalities=2, routing=routing)]
    for layer in layers:
        with routing.of(KINDS, QUESTION):
            assert torch.equal(layer(tokens()), base(tokens()))


def test_lora_is_a_low_rank_matrix_more() -> None:
    torch.manual_seed(0)
    layer = LoRALinear(nn.Linear(3, 4), rank=2, alpha=6.0).eval()
    nn.init.normal_(layer.up)
    weight = layer.base.weight + 3 * layer.up @ layer.down
    expected = nn.functional.linear(tokens(), weight, layer.base.bias)
    torch.testing.assert_close(layer(tokens()), expected)


def test_without_attention_each_kind_has_its_own_lora() -> None:
    layer, routing = moka(weight=0.0)
    x = tokens()
    with routing.of(KINDS, QUESTION):
        y = layer(x)
    for place, kind in enumerate(KINDS[0].tolist()):
        own = layer.base(x[:, place]) + layer.scale * x[:, place] @ layer.downs[kind].T @ layer.up.T
        torch.testing.assert_close(y[:, place], own)


def test_attention_by_hand() -> None:
    layer, routing = moka(weight=0.5)
    x = tokens()
    with routing.of(KINDS, QUESTION):
        y = layer(x)
    u = torch.stack(
        [layer.scale * x[:, i] @ layer.downs[k].T for i, k in enumerate(KINDS[0].tolist())], dim=1
    )
    for place, kind in enumerate(KINDS[0].tolist()):
        low = u[:, place]
        if kind:
            share = torch.einsum("br,bqr->bq", low, u[:, :2]).div(math.sqrt(2)).softmax(1)
            low = low + 0.5 * torch.einsum("bq,bqr->br", share, u[:, :2])
        expected = layer.base(x[:, place]) + low @ layer.up.T
        torch.testing.assert_close(y[:, place], expected)


def test_the_order_of_the_question_does_not_matter_to_modalities_and_text_sees_nothing() -> None:
    layer, routing = moka()
    x = tokens()
    turned = x[:, [1, 0, 2, 3, 4, 5]]
    with routing.of(KINDS, QUESTION):
        one, other = layer(x), layer(turned)
    torch.testing.assert_close(one[:, 2:], other[:, 2:])
    torch.testing.assert_close(one[:, [1, 0]], other[:, :2])
    with routing.of(KINDS, torch.zeros_like(QUESTION)):  # no question: no attention, no nan
        none = layer(x)
    plain, silent = moka(weight=0.0)
    with silent.of(KINDS, QUESTION):
        torch.testing.assert_close(none, plain(x))


def test_one_new_text_token_is_lora_with_the_matrix_of_text() -> None:
    layer, routing = moka()
    x = tokens()[:, :1]
    with routing.of(torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, 1, dtype=torch.bool)):
        y = layer(x)
    torch.testing.assert_close(y, layer.base(x) + layer.scale * x @ layer.downs[0].T @ layer.up.T)


def test_a_question_reaches_from_its_first_to_its_last_token() -> None:
    mask = torch.tensor([[0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]]).bool()
    expected = torch.tensor([[0, 1, 1, 1, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]]).bool()
    assert torch.equal(between_first_and_last(mask), expected)


@pytest.mark.parametrize("kind", ["lora", "moka"])
def test_adapting_freezes_the_model_and_trains_the_adapters_alone(kind: Any) -> None:
    model = nn.Sequential(
        nn.Linear(3, 5), nn.Tanh(), nn.Sequential(nn.Linear(5, 4)), nn.Linear(4, 2)
    )
    head = model[3]
    routing = adapt(model, kind, rank=2, skip=(head,))
    assert model[3] is head
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert {name.split(".base")[0] for name in trained} == set(trained)
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    downs = 1 if kind == "lora" else 3
    assert count == 2 * (downs * 3 + 5) + 2 * (downs * 5 + 4)
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter)
    with routing.of(KINDS, QUESTION):
        model(tokens()).square().sum().backward()
    missing = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing


def test_dropout_acts_in_training_only() -> None:
    layer, routing = moka(dropout=0.5)
    with routing.of(KINDS, QUESTION):
        assert torch.equal(layer(tokens()), layer(tokens()))
        layer.train()
        assert not torch.equal(layer(tokens()), layer(tokens()))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LoRALinear(nn.Linear(2, 2), rank=0), "`rank` must be >= 1"),
        (lambda: LoRALinear(nn.Linear(2, 2), alpha=0.0), "`alpha` must be finite and > 0"),
        (lambda: LoRALinear(nn.Linear(2, 2), dropout=1.0), r"`dropout` must be in \[0, 1\)"),
        (lambda: moka(weight=-1.0), "`weight` must be finite and >= 0"),
        (lambda: adapt(nn.Sequential(nn.Tanh()), "moka"), "`model` must have layers of the type"),
        (lambda: adapt(nn.Linear(2, 2), "ia3"), "`kind` must be one of"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_tokens_must_be_known() -> None:
    layer, routing = moka()
    with pytest.raises(RuntimeError, match=r"call the model inside `routing\.of"):
        layer(tokens())
    with pytest.raises(ValueError, match="must have one shape"), routing.of(KINDS, QUESTION[:, :2]):
        pass
    with routing.of(KINDS, QUESTION):
        layer(tokens())
    with pytest.raises(RuntimeError, match="MokA must know the tokens"):
        layer(tokens())
