"""UR-FUNNY and CMU-MOSEI in their true formats: pickles to store to a trained network."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mimo_sim import datasets
from mimo_sim.cli import app
from mimo_sim.datasets import _sequences as sequences
from mimo_sim.datasets import _store as store

FUNNY_LABELS = Path(os.environ.get("MIMO_SIM_DATA", "nowhere")) / (
    "fixtures/urfunny/humor_label_sdk.pkl"
)
FOLDS = {"train": 120, "dev": 30, "test": 50}


def save(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))  # as Python 2 wrote them


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def prepared(name: str, root: Path, *more: str) -> str:
    done = run("data", "prepare", name, "--root", str(root), *more)
    assert done.exit_code == 0, done.exception
    return str(done.output)


def trained(name: str, root: Path, *more: str) -> dict[str, Any]:
    """The test figures of a short run with the published settings, scaled down."""
    out = root / "results"
    words = ["--dataset", name, "--method", "mimo", "--preset", "paper", "--root", str(root)]
    scaled = ["--epochs", "6", "--width", "12", "--lr", "0.01", "--jobs", "1", "--out", str(out)]
    done = run("bench", "run", *words, *scaled, "--accelerator", "cpu", *more)
    assert done.exit_code == 0, done.output
    assert f"{name}" in done.output
    (result,) = out.rglob("result.json")
    figures: dict[str, Any] = json.loads(result.read_text())["metrics"]["test"]
    config = json.loads((result.parent / "config.json").read_text())["settings"]
    assert (config["optimizer"], config["batch_size"]) == ("adamw", 32)
    assert config["encoder"] == ("gru" if name == "urfunny" else "transformer")
    assert (config["lr"], config["weight_decay"]) == (0.01, 0.01)
    return figures


def funny(root: Path, labels: dict[int, int] | None = None) -> dict[str, Any]:
    """Six pickles; who laughs shows in words, voice and face."""
    rng = np.random.default_rng(0)
    count = sum(FOLDS.values())
    if labels is None:
        labels = {7 * one + 1: int(one % 2) for one in range(count)}
    ids = list(labels)[:count]
    vectors = rng.standard_normal((40, 300))
    vectors[0] = 0
    covarep: dict[int, Any] = {}
    openface: dict[int, Any] = {}
    language: dict[int, Any] = {}
    for one in ids:
        steps = int(rng.integers(3, 9))
        words = rng.integers(1, 20, steps) + 20 * labels[one]
        sizes = {"voice": 81, "face": 371}
        made = {key: rng.standard_normal((steps, size)) for key, size in sizes.items()}
        made["voice"][:, :20] += 2 * labels[one]
        made["face"][:, :60] = 300 + 40 * (made["face"][:, :60] + 2 * labels[one])  # pixels
        covarep[one] = {"punchline_features": made["voice"], "context_features": [made["voice"]]}
        openface[one] = {"punchline_features": made["face"], "context_features": [made["face"]]}
        language[one] = {
            "punchline_embedding_indexes": words.tolist(),
            "context_embedding_indexes": [words.tolist()],
            "punchline_sentence": "…",
        }
    covarep[ids[3]]["punchline_features"][0, 5] = -np.inf
    covarep[ids[4]]["punchline_features"][0, 6] = np.nan
    starts = np.cumsum([0, *FOLDS.values()])
    content: dict[str, Any] = {
        "language_sdk": language,
        "word_embedding_list": vectors.tolist(),
        "covarep_features_sdk": covarep,
        "openface_features_sdk": openface,
        "humor_label_sdk": labels,
        "data_folds": {
            fold: ids[start:stop]
            for fold, start, stop in zip(FOLDS, starts, starts[1:], strict=False)
        },
    }
    for name, value in content.items():
        save(root / "UR-FUNNY" / f"{name}.pkl", value)
    return content


def test_ur_funny_from_pickles_to_a_table(tmp_path: Path) -> None:
    labels = None
    if FUNNY_LABELS.is_file():
        labels = pickle.loads(FUNNY_LABELS.read_bytes())
        assert len(labels) == 10_166
    content = funny(tmp_path, labels)
    said = prepared("urfunny", tmp_path)
    assert "kept / listed: 120 / 120 train, 30 / 30 validation, 50 / 50 test" in said
    assert run("data", "verify", "urfunny", "--root", str(tmp_path)).exit_code == 0
    data = datasets.load("urfunny", tmp_path)
    assert {m.name: m.shape for m in data.modalities} == datasets.get("urfunny").modalities
    wanted = [content["humor_label_sdk"][one] for one in content["data_folds"]["test"]]
    assert data.test.target.tolist() == wanted
    first = content["data_folds"]["train"][0]
    steps = len(content["language_sdk"][first]["punchline_embedding_indexes"])
    for x in data.train.inputs:
        assert torch.equal(x[0].any(1), torch.arange(50) < steps)
        real = x[x.any(2)].double()
        assert real.abs().max() <= sequences.MOST
        np.testing.assert_allclose(real.mean(0), 0, atol=1e-5)
    figures = trained("urfunny", tmp_path)
    assert figures["accuracy"] > 0.75  # half of them are funny; 0.75 is 3.5 standard errors off
    assert set(figures["unimodal"]["probe"]) == {"text", "vision", "audio"}


def test_what_is_wrong_with_ur_funny_is_said(tmp_path: Path) -> None:
    content = funny(tmp_path)
    folder = tmp_path / "UR-FUNNY"
    one, two, three, four = content["data_folds"]["train"][:4]
    short = content["openface_features_sdk"][one]
    short["punchline_features"] = short["punchline_features"][1:]
    del content["covarep_features_sdk"][two]
    content["language_sdk"][three]["punchline_embedding_indexes"] = [0, 0]
    for stream, size in (("covarep", 81), ("openface", 371)):
        features = content[f"{stream}_features_sdk"]
        features[three]["punchline_features"] = np.ones((2, size))
    content["language_sdk"][four]["punchline_embedding_indexes"][0] = 40
    for name in ("language_sdk", "covarep_features_sdk", "openface_features_sdk"):
        save(folder / f"{name}.pkl", content[name])
    done = run("data", "prepare", "urfunny", "--root", str(tmp_path))
    assert "2 of 198 samples of urfunny cannot be used" in str(done.exception)
    assert f"{two}: not in covarep_features_sdk.pkl; {four}: a word has no vector in" in str(
        done.exception
    )
    said = prepared("urfunny", tmp_path, "--allow-missing")
    assert "2 dropped: " in said
    assert f"{one}: its streams have different lengths" in said
    assert f"{three}: its text is all zero" in said
    assert "kept / listed: 116 / 118 train" in said
    assert "sha256 of the kept ids: " in said

    (made,) = (tmp_path / "stores").iterdir()
    before = (made / "text-00000.npy").read_bytes()
    for words in content["word_embedding_list"][1:]:
        words[0] = -words[0]  # the file keeps its size
    save(folder / "word_embedding_list.pkl", content["word_embedding_list"])
    prepared("urfunny", tmp_path, "--allow-missing")
    after = (made / "text-00000.npy").read_bytes()
    prepared("urfunny", tmp_path, "--allow-missing")
    assert before != after == (made / "text-00000.npy").read_bytes()

    content["humor_label_sdk"][four] = 2
    save(folder / "humor_label_sdk.pkl", content["humor_label_sdk"])
    done = run("data", "prepare", "urfunny", "--root", str(tmp_path))
    assert f"the label of {four} must be 0 or 1. Got 2" in str(done.exception)
    (folder / "data_folds.pkl").unlink()
    done = run("data", "prepare", "urfunny", "--root", str(tmp_path))
    assert "1 of 6 files are missing" in str(done.exception)
    with pytest.raises(FileNotFoundError, match=r"data prepare urfunny --root .*setting=packed"):
        datasets.load("urfunny", tmp_path, setting="packed")
    with pytest.raises(ValueError, match=r"`context` must be False with setting='packed'"):
        datasets.load("urfunny", tmp_path, setting="packed", context=True)


def packed(
    widths: dict[str, tuple[int, int]], values: list[float], sizes: dict[str, int]
) -> dict[str, Any]:
    """A pickle as MulT made them: padded in front, bytes as ids, -inf in the sound."""
    rng = np.random.default_rng(1)
    found: dict[str, Any] = {}
    for part, size in sizes.items():
        labels = rng.choice(values, size)
        found[part] = {
            "labels": labels.reshape(size, 1, 1).astype(np.float32),
            "id": np.array([[f"{part}{row // 2}".encode(), b"0.5", b"2"] for row in range(size)]),
        }
        for name, (steps, width) in widths.items():
            x = rng.standard_normal((size, steps, width)).astype(np.float32)
            x += 0.7 * labels[:, None, None].astype(np.float32) * (np.arange(width) < width // 4)
            x[:, : steps // 3] = 0
            found[part][name] = x
        found[part]["audio"][0, -1, 0] = -np.inf
    found["train"]["text"][5] = 0
    return found


MOSEI = {"text": (10, 300), "audio": (10, 74), "vision": (10, 35)}
SIZES = {"train": 160, "valid": 40, "test": 60}


@pytest.mark.parametrize("setting", ["aligned", "unaligned"])
def test_cmu_mosei_from_a_pickle_to_a_table(tmp_path: Path, setting: str) -> None:
    widths = MOSEI if setting == "aligned" else MOSEI | {"audio": (30, 74), "vision": (20, 35)}
    content = packed(widths, [-2.0, -1.0, 0.0, 1.0, 2.4], SIZES)
    name = "mosei_senti_data" + "_noalign" * (setting == "unaligned")
    save(tmp_path / "CMU-MOSEI" / f"{name}.pkl", content)
    option = ("--option", f"setting={setting}")
    said = prepared("mosei", tmp_path, *option)
    assert "kept / listed: 159 / 159 train, 40 / 40 validation, 60 / 60 test" in said
    assert "1 dropped: train2_0.5_2#2: its text is all zero" in said
    sentiment = content["test"]["labels"].ravel()
    rules = {
        "negative": sentiment >= 0,
        "positive": sentiment > 0,
        "nonzero": sentiment[sentiment != 0] > 0,
    }
    for rule, wanted in rules.items():
        data = datasets.load("mosei", tmp_path, setting=setting, labels=rule)
        assert data.test.target.tolist() == wanted.astype(int).tolist()
        assert [m.shape for m in data.modalities] == list(widths.values())
    if setting == "aligned":
        figures = trained("mosei", tmp_path)
        majority = max(rules["negative"].mean(), 1 - rules["negative"].mean())
        assert figures["accuracy"] > majority + 0.1


def test_the_sentiment_of_cmu_mosei_as_a_number(tmp_path: Path) -> None:
    content = packed(MOSEI, [-3.0, -1.0, 0.0, 1.0, 2.4], SIZES)
    path = tmp_path / "CMU-MOSEI" / "mosei_senti_data.pkl"
    save(path, content)
    prepared("mosei_regression", tmp_path)
    data = datasets.load("mosei_regression", tmp_path)
    assert (data.task, data.test.target.shape) == ("regression", (60, 1))
    np.testing.assert_array_equal(data.test.target.ravel(), content["test"]["labels"].ravel())
    figures = trained("mosei_regression", tmp_path)
    assert figures["correlation"] > 0.5
    content["test"]["labels"][3] = 4
    save(path, content)
    done = run("data", "prepare", "mosei_regression", "--root", str(tmp_path))
    assert "the sentiment of test1_0.5_2#2 must lie in -3..3. Got 4.0" in str(done.exception)
    del content["valid"]
    save(path, content)
    done = run("data", "prepare", "mosei_regression", "--root", str(tmp_path))
    assert "must have ['text', 'audio', 'vision', 'labels'] in 'valid'" in str(done.exception)


def test_humor_of_multibench(tmp_path: Path) -> None:
    widths = {"text": (50, 300), "audio": (50, 81), "vision": (50, 371)}
    content = packed(widths, [-1.0, 1.0], {"train": 12, "valid": 4, "test": 4})
    for part in content.values():
        del part["id"]
    save(tmp_path / "UR-FUNNY" / "humor.pkl", content)
    prepared("urfunny", tmp_path, "--option", "setting=packed")
    data = datasets.load("urfunny", tmp_path, setting="packed")
    assert data.test.target.tolist() == (content["test"]["labels"].ravel() > 0).tolist()
    (folder,) = (tmp_path / "stores").iterdir()
    assert store.read_json(folder / store.MANIFEST)["samples"][0][0] == "train-0"
    assert data.train.inputs[0][0].any(1).tolist() == [True] * 34 + [False] * 16
