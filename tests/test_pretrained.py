"""Pre-trained encoders from a local folder: the weights there, and nothing that can run code."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mimo_sim as ms
from mimo_sim import benchmark
from mimo_sim.networks.encoders import get, make_encoder
from mimo_sim.training import Settings, train

transformers = pytest.importorskip("transformers")
TINY = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def vit(channels: int = 3, size: int = 8) -> Any:
    return transformers.ViTConfig(**TINY, image_size=size, patch_size=4, num_channels=channels)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """A folder and the model in it; tiny, with random weights."""
    made: dict[str, tuple[Path, Any]] = {}

    def save(kind: str) -> tuple[Path, Any]:
        if kind not in made:
            torch.manual_seed(len(kind))
            if kind == "vit":
                model = transformers.ViTModel(vit())
            elif kind == "classifier":  # has no weights of the pooling
                model = transformers.ViTForImageClassification(vit())
            elif kind == "resnet":
                model = transformers.ResNetModel(
                    transformers.ResNetConfig(
                        num_channels=1, embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1]
                    )
                )
            elif kind == "ast":
                model = transformers.ASTModel(
                    transformers.ASTConfig(
                        **TINY,
                        patch_size=4,
                        frequency_stride=4,
                        time_stride=4,
                        max_length=12,
                        num_mel_bins=8,
                    )
                )
            else:
                model = transformers.BertModel(transformers.BertConfig(**TINY, vocab_size=9))
            folder = tmp_path_factory.mktemp(kind)
            model.save_pretrained(folder)
            made[kind] = folder, model.eval()
        return made[kind]

    return save


def test_features_are_those_of_the_saved_model(saved: Callable[[str], tuple[Path, Any]]) -> None:
    with torch.no_grad():
        folder, model = saved("vit")
        encoder = make_encoder((3, 8, 8), f"pretrained:{folder}").eval()
        x = torch.randn(5, 3, 8, 8)
        assert encoder.width == 8
        torch.testing.assert_close(encoder(x), model(pixel_values=x).pooler_output)
        video = torch.randn(5, 3, 2, 8, 8)
        clip = make_encoder((3, 2, 8, 8), f"pretrained:{folder}").eval()
        frames = [model(pixel_values=video[:, :, t]).pooler_output for t in range(2)]
        torch.testing.assert_close(clip(video), sum(frames) / 2)

        folder, model = saved("classifier")
        encoder = make_encoder((3, 8, 8), f"pretrained:{folder}").eval()
        tokens = model.vit(pixel_values=x).last_hidden_state
        torch.testing.assert_close(encoder(x), tokens.mean(1))
        assert not any("pooler" in name for name, _ in encoder.named_parameters())

        folder, model = saved("resnet")
        encoder = make_encoder((1, 16, 24), f"pretrained:{folder}", width=64).eval()
        sound = torch.randn(5, 1, 16, 24)
        assert encoder.width == 6
        torch.testing.assert_close(
            encoder(sound), model(pixel_values=sound).pooler_output[..., 0, 0]
        )

        folder, model = saved("ast")
        encoder = make_encoder((1, 8, 12), f"pretrained:{folder}").eval()
        sound = torch.randn(5, 1, 8, 12)
        wanted = model(input_values=sound[:, 0].transpose(1, 2)).pooler_output
        torch.testing.assert_close(encoder(sound), wanted)


def test_a_run_starts_from_the_weights_and_records_their_checksum(
    saved: Callable[[str], tuple[Path, Any]], tmp_path: Path
) -> None:
    folder, model = saved("vit")
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    data = ms.datasets.from_arrays(
        {"face": rng.normal(size=(60, 3, 8, 8)), "note": rng.normal(size=(60, 4))}, y
    )
    options: dict[str, Any] = {"epochs": 1, "width": 4, "probes": False, "accelerator": "cpu"}
    options["encoder"] = f"face=pretrained:{folder},note=mlp"
    made = train("mimo", data, folder=tmp_path / "run", lr=1e-12, weight_decay=0, **options)
    found = made.model.encoders[0].state_dict()
    for name, value in model.state_dict().items():  # a step of size 1e-12 changes nothing
        torch.testing.assert_close(found[f"body.network.{name}"], value, rtol=0, atol=1e-6)
    settings = json.loads((tmp_path / "run/config.json").read_text())["settings"]
    assert settings["encoder"] == options["encoder"]
    (checksum,) = settings["pretrained"].values()
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    named = Settings(1, encoder=f"face=pretrained:{other}").described()
    assert set(named["pretrained"].values()) == {checksum}  # of the content, wherever it lies
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    changed = Settings(1, encoder=f"face=pretrained:{other}").described()
    assert set(changed["pretrained"].values()) != {checksum}
    assert "pretrained" not in Settings(1, encoder="mlp").described()


def test_a_plan_refuses_what_does_not_fit_before_any_run(
    saved: Callable[[str], tuple[Path, Any]],
) -> None:
    folder, _ = saved("vit")
    settings = {"epochs": 1, "encoder": f"image=pretrained:{folder}"}
    with pytest.raises(
        ValueError, match=r"'pretrained:.*' cannot take inputs of the shape \(1, 28"
    ):
        benchmark.plan("avmnist", ["vanilla"], [0], settings)
    folder, _ = saved("resnet")
    settings = {"epochs": 1, "encoder": f"image=pretrained:{folder}"}
    assert len(benchmark.plan("avmnist", ["vanilla"], [0], settings)) == 1


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("trap"),))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("nothing", r"must name a folder with config\.json and safetensors .* There is no"),
        ("pickled", "pickled weights can run code"),
        ("code", "no code of its own"),
        ("index", r"names '\.\./elsewhere\.bin'"),
        ("damaged", "is damaged"),
    ],
)
def test_folders_that_could_run_code_are_refused(
    saved: Callable[[str], tuple[Path, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    if wrong != "nothing":
        shutil.copytree(saved("vit")[0], folder)
    config = folder / "config.json"
    if wrong == "pickled":
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Trap()))
    elif wrong == "code":
        there = json.loads(config.read_text())
        config.write_text(json.dumps(there | {"auto_map": {"AutoModel": "mine.Mine"}}))
        (folder / "mine.py").write_text("open('trap', 'w')")
    elif wrong == "index":
        index = {"weight_map": {"layer": "../elsewhere.bin"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    elif wrong == "damaged":
        config.write_text("[1")
    for make in (
        lambda: make_encoder((3, 8, 8), f"pretrained:{folder}"),
        lambda: get(f"pretrained:{folder}"),
        lambda: Settings(1, encoder=f"face=pretrained:{folder}"),
    ):
        with pytest.raises(ValueError, match=words):
            make()
    assert not (tmp_path / "trap").exists()


def test_models_of_words_and_lacking_weights_are_refused(
    saved: Callable[[str], tuple[Path, Any]], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"must be a model of pictures .* Got a bert model"):
        make_encoder((3, 8, 8), f"pretrained:{saved('text')[0]}")
    with pytest.raises(ValueError, match=r"for inputs \(channels.* the shape \(5,\)"):
        make_encoder((5,), f"pretrained:{saved('vit')[0]}")
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "less"
    shutil.copytree(saved("vit")[0], folder)
    weights = load_file(folder / "model.safetensors")
    del weights["embeddings.cls_token"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks weights of its model: embeddings\.cls_token"):
        make_encoder((3, 8, 8), f"pretrained:{folder}")
