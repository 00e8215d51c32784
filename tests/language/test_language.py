"""The model that hears and sees, its task, its training and its results."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mimo_sim import datasets
from mimo_sim import language as room
from mimo_sim.datasets._data import Dataset, Modality, Split
from mimo_sim.errors import NonFiniteError
from mimo_sim.language import (
    LanguageSettings,
    MultimodalLanguageModel,
    model,
    results,
    task,
    training,
)
from mimo_sim.language.words import NUMBERS, QUESTION, WordTokenizer
from mimo_sim.methods.mimo import MIMOLoss
from tests.commands.tool import run_here
from tests.language.tiny import save_model, splits, sums

DOCS = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model is smaller still, and is not taught sums."""
    plain = model.tiny_language_model
    monkeypatch.setattr(
        training, "taught", lambda seed: plain(hidden=16, layers=1, seed=seed, steps=0)
    )


def built(**more: Any) -> MultimodalLanguageModel:
    settings = LanguageSettings(tokens=2, rank=2, **more)
    found = training.build(settings, sums(4)).eval()
    torch.manual_seed(1)
    for name, parameter in found.named_parameters():
        if name.endswith(".up"):
            torch.nn.init.normal_(parameter, std=0.3)  # so that adapters matter
    return found


# ---------------------------------------------------------------------------- words and data


def test_words_become_numbers_and_unknown_ones_are_named() -> None:
    tokenizer = WordTokenizer([*NUMBERS, QUESTION])
    assert len(NUMBERS) == 19
    assert len(set(map(tuple, map(tokenizer.encode, NUMBERS)))) == 19
    assert tokenizer.encode("what IS the sum?") == tokenizer.encode(QUESTION)[:4]
    assert tokenizer.end not in tokenizer.encode(QUESTION)
    with pytest.raises(ValueError, match=r"not in the vocabulary. Got 'product'"):
        tokenizer.encode("the product")


def test_sounds_change_places_and_digits_go_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 600
    target = torch.arange(n) % 10
    image = (target[:, None, None, None] * torch.ones(1, 1, 28, 28)).float()
    audio = (target[:, None, None, None] * torch.ones(1, 1, 112, 112)).to(torch.uint8)
    split = Split((image, audio), target)
    shapes = (Modality("image", (1, 28, 28)), Modality("audio", (1, 112, 112), scale=0.5))
    data = Dataset("avmnist", shapes, split, split, split, classes=tuple(map(str, range(10))))
    asked: dict[str, Any] = {}

    def load(name: str, root: Any, seed: int, **settings: Any) -> Dataset:
        asked.update(settings, name=name)
        return data

    monkeypatch.setattr(datasets, "load", load)
    found = room.load_sums(seed=3, snr=2.0)
    assert asked == {"name": "avmnist", "setting": "C", "snr": 2.0}
    train = found["train"]
    assert train.inputs[0].shape == (n, 1, 28, 28)
    assert torch.equal(train.inputs[0][:, 0, 5, 5], 0.5 * train.digits[:, 0])
    assert torch.equal(train.inputs[1][:, 0, 5, 5], train.digits[:, 1].float())
    assert torch.equal(train.totals, train.digits.sum(1))
    same = (train.digits[:, 0] == train.digits[:, 1]).float().mean()
    assert abs(float(same) - 0.1) < 5 * math.sqrt(0.09 / n)  # as of independent digits
    assert not torch.equal(found["test"].digits, train.digits)
    assert torch.equal(room.load_sums(seed=3)["train"].digits, train.digits)


def test_the_least_loss_with_one_digit_is_log_ten() -> None:
    shares = torch.zeros(10, 19)
    for a in range(10):
        for b in range(10):
            shares[a, a + b] += 0.1
    entropy = -(shares * shares.clamp_min(1e-30).log()).sum(1)
    torch.testing.assert_close(entropy, torch.full((10,), task.BEST_ALONE))


# ---------------------------------------------------------------------------- the model


def test_the_tiny_model_learns_its_sums() -> None:
    language, tokenizer = model.tiny_language_model(hidden=32, layers=1, steps=60)
    texts = [(a, b) for a in range(10) for b in range(10)]
    ids = torch.tensor(
        [tokenizer.encode(f"{NUMBERS[a]} {NUMBERS[b]} {QUESTION}") for a, b in texts]
    )
    with torch.no_grad():
        said = language(input_ids=ids).logits[:, -1].argmax(1)
    right = torch.tensor([tokenizer.encode(NUMBERS[a + b])[0] for a, b in texts])
    assert float((said == right).float().mean()) > 0.5  # one in nineteen by chance


@pytest.mark.parametrize("adapter", ["lora", "moka"])
def test_only_adapters_and_connectors_learn(adapter: Any) -> None:
    found = built(adapter=adapter)
    batch = sums(6)
    loss, _ = found.losses(found.read(batch.inputs)[1], batch.totals)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in found.named_parameters():
        mine = "connectors" in name or name.split(".")[-1] in ("up", "down") or "downs" in name
        assert parameter.requires_grad == mine
        assert (parameter.grad is not None) == mine, name


@pytest.mark.parametrize("adapter", ["lora", "moka"])
def test_the_loss_is_that_of_the_written_out_sequence(adapter: Any) -> None:
    """Tokens one after the other through the whole model, and the chain rule over the answer."""
    found = built(adapter=adapter)
    batch = sums(3)
    tokens = found.read(batch.inputs)[1]
    loss, right = found.losses(tokens, batch.totals)
    embed = found.language.get_input_embeddings()
    for row in range(3):
        answer = found.answers[batch.totals[row]]
        parts = [each[row] for each in tokens] + [embed(found.question), embed(answer)]
        kinds = torch.tensor([[1, 1, 2, 2] + [0] * (len(found.question) + len(answer))])
        question = torch.zeros_like(kinds, dtype=torch.bool)
        question[0, 4 : 4 + len(found.question)] = True
        with found.routing.of(kinds, question):
            logits = found.language(inputs_embeds=torch.cat(parts)[None]).logits[0]
        start = 3 + len(found.question)
        said = logits[start : start + len(answer)].log_softmax(1)
        expected = -said.gather(1, answer[:, None]).sum()
        torch.testing.assert_close(loss[row], expected, rtol=1e-4, atol=1e-4)
        assert bool(right[row]) == bool((said.argmax(1) == answer).all())


@pytest.mark.parametrize("adapter", ["lora", "moka"])
@pytest.mark.parametrize("k", [0, 1])
def test_an_absent_modality_says_nothing_and_a_present_one_does(adapter: Any, k: int) -> None:
    found = built(adapter=adapter)
    batch = sums(5)
    tokens = [each.detach().requires_grad_() for each in found.read(batch.inputs)[1]]
    loss, _ = found.losses(tokens, batch.totals, [k])
    gradients = torch.autograd.grad(loss.sum(), tokens, allow_unused=True)
    assert gradients[1 - k] is None
    assert gradients[k] is not None
    assert gradients[k].abs().max() > 0


def test_places_stay_where_a_modality_is_absent() -> None:
    found = built()
    kinds, question, places = found.layout([1])
    asked = len(found.question)
    assert kinds[0].tolist() == [2, 2] + [0] * (asked + found.answers.shape[1] - 1)
    assert places[0].tolist() == list(range(2, 4 + asked + found.answers.shape[1] - 1))
    assert question[0].nonzero()[:, 0].tolist() == list(range(2, 2 + asked))
    assert found.layout([0, 1])[2][0].tolist() == list(
        range(4 + asked + found.answers.shape[1] - 1)
    )


# ---------------------------------------------------------------------------- training


def test_objectives_are_what_they_say() -> None:
    found, batch = built(), sums(8)
    tokens = found.read(batch.inputs)[1]
    joint = found.losses(tokens, batch.totals)[0].mean()
    alone = [found.losses(tokens, batch.totals, [k])[0].mean() for k in range(2)]

    def of(name: Any, lam: float = 2.0) -> Tensor:
        settings = LanguageSettings(objective=name, lam=lam)
        penalty = MIMOLoss(lam=lam, mu=0.1, f_star=task.BEST_ALONE)
        first, whole = training.objective(found, settings, penalty, batch)
        torch.testing.assert_close(first, joint)
        return whole

    torch.testing.assert_close(of("joint"), joint)
    torch.testing.assert_close(of("scalarization", 3.0), joint + 1.5 * (alone[0] + alone[1]))
    gaps = torch.stack(alone) - task.BEST_ALONE
    gradient = torch.autograd.grad(of("mimo"), found.trained(), allow_unused=True)
    sigma = (gaps / 0.1).softmax(0).detach()
    expected = torch.autograd.grad(
        joint + 2 * (sigma * torch.stack(alone)).sum(), found.trained(), allow_unused=True
    )
    for mine, theirs in zip(gradient, expected, strict=True):
        assert mine is not None
        assert theirs is not None
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    same = training.objective(
        found, LanguageSettings(objective="mimo", lam=0.0), MIMOLoss(lam=0.0), batch
    )
    torch.testing.assert_close(same[1], joint)


@pytest.mark.slow
@pytest.mark.parametrize(("adapter", "objective"), [("moka", "mimo"), ("lora", "joint")])
def test_it_learns_and_the_same_seed_gives_the_same_bytes(adapter: Any, objective: Any) -> None:
    settings = LanguageSettings(
        adapter=adapter, objective=objective, epochs=4, batch_size=16, tokens=2, lr=1e-2
    )
    first, second = (training.train_adapters(settings, splits()) for _ in range(2))
    losses = [row["train_loss"] for row in first["epochs"]]
    assert losses[-1] < losses[0]
    for found in (first, second):
        del found["seconds"]
    assert first == second
    assert set(first["test"]["alone"]) == set(first["test"]["probe"]) == {"sound", "picture"}
    assert 0 <= first["test"]["accuracy"] <= 1


def test_the_rate_rises_and_falls() -> None:
    rates = [training.rate(step, 100) for step in range(100)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates[3] == 1
    assert all(a >= b for a, b in pairwise(rates[3:]))
    assert rates[-1] < 0.001


def test_a_training_that_diverges_says_so() -> None:
    with pytest.raises(NonFiniteError, match=r"diverged in epoch \d .* smaller lr than"):
        training.train_adapters(LanguageSettings(lr=1e30, epochs=2, dropout=0.0), splits(32))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_from_a_folder_is_read_with_answers_of_several_tokens(
    dtype: Any, tmp_path: Path
) -> None:
    folder = save_model(tmp_path / "model")
    settings = LanguageSettings(model=folder, dtype=dtype, epochs=1, tokens=2, objective="mimo")
    found = training.train_adapters(settings, splits(32))
    assert math.isfinite(found["test"]["loss"])
    made = training.build(settings, sums(4))
    lengths = (made.answers >= 0).sum(1)
    assert lengths.tolist() == [len(word) + 1 for word in NUMBERS]  # letters, and the end
    trained = {p.dtype for p in made.trained()}
    assert trained == {torch.float32}
    frozen = {p.dtype for p in made.language.parameters() if not p.requires_grad}
    assert frozen == {getattr(torch, dtype)}


def test_what_comes_after_a_short_answer_does_not_count(tmp_path: Path) -> None:
    settings = LanguageSettings(model=save_model(tmp_path / "model"), tokens=2)
    made = training.build(settings, sums(4)).eval()
    batch = sums(8)
    tokens = made.read(batch.inputs)[1]
    short = int((made.answers >= 0).sum(1).argmin())
    target = torch.full((8,), short)
    loss, _ = made.losses(tokens, target)
    made.answers = made.answers[:, : int((made.answers[short] >= 0).sum())].clone()
    torch.testing.assert_close(made.losses(tokens, target)[0], loss, rtol=1e-4, atol=1e-4)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`model` must be 'tiny' or the folder"):
        room.load_language_model(str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"adapter": "ia3"}, "`adapter` must be one of"),
        ({"objective": "sum"}, "`objective` must be one of"),
        ({"dtype": "float16"}, "`dtype` must be one of"),
        ({"rank": 0}, "`rank` must be >= 1"),
        ({"lr": 0.0}, "`lr` must be finite and > 0"),
        ({"lam": -1.0}, "`lam` must be finite and >= 0"),
        ({"dropout": 1.0}, "`dropout` must be in"),
        ({"seed": -1}, "`seed` must be >= 0"),
    ],
)
def test_bad_settings_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LanguageSettings(**given)


# ---------------------------------------------------------------------------- results


@pytest.mark.slow
def test_the_command_keeps_what_is_there_and_writes_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(room, "load_sums", lambda *_, **__: splits(32))
    line = "language --adapter lora --objective joint --objective mimo --seeds 2 --epochs 1 --out"
    assert run_here(monkeypatch, *line.split(), str(tmp_path)) == 0
    assert "lora, mimo" in capsys.readouterr().out
    kept = (tmp_path / "lora-mimo" / "seed1.json").read_text()
    whole = json.loads((tmp_path / results.TOGETHER).read_text())
    assert [run["settings"]["seed"] for run in whole["runs"]] == [0, 1, 0, 1]
    table = (tmp_path / results.TABLE).read_text()
    assert results.markdown(whole["runs"]) in table
    assert run_here(monkeypatch, *line.split(), str(tmp_path), "-q") == 0
    assert (tmp_path / "lora-mimo" / "seed1.json").read_text() == kept
    assert run_here(monkeypatch, *line.split(), str(tmp_path), "--lr", "0.1") == 2
    assert "has a training with other settings" in capsys.readouterr().err


def test_intervals_are_those_of_student() -> None:
    assert results.half_width([1.0, 2.0, 3.0]) == pytest.approx(4.3026527 / math.sqrt(3))
    assert math.isnan(results.half_width([1.0]))


def test_the_page_shows_the_stored_trainings() -> None:
    stored = json.loads((DOCS / "benchmarks" / "language" / results.TOGETHER).read_text())
    assert results.markdown(stored["runs"]) in (DOCS / "docs" / "language.md").read_text()
    by_row: dict[str, set[int]] = {}
    for run in stored["runs"]:
        row = f"{run['settings']['adapter']}, {run['settings']['objective']}"
        by_row.setdefault(row, set()).add(run["settings"]["seed"])
    assert {"lora, joint", "lora, mimo", "moka, joint", "moka, mimo"} <= set(by_row)
    assert all(seeds == {0, 1, 2} for seeds in by_row.values())
