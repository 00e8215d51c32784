"""Encoders with weights from a folder, as ``save_pretrained`` of transformers writes it.

Nothing is downloaded, and nothing in the folder can run code: the model is one that transformers
itself has, and weights are read from safetensors files only.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mimo_sim._extras import explained
from mimo_sim.networks.encoders._base import Encoder
from mimo_sim.networks.encoders._frames import frame_mean

PREFIX = "pretrained:"
CONFIG, WEIGHTS, INDEX = "config.json", ".safetensors", "model.safetensors.index.json"
INPUTS = ("pixel_values", "input_values")  # pictures; sound as (time, frequency)


class Pretrained(Encoder):
    """A model of transformers with the weights of a local folder.

    A model for pictures takes (channels, height, width), and of a video (channels, frames, height,
    width) every frame; the feature is the mean over frames. A model for spectrograms (AST) takes
    (1, frequency, time). The feature is what the model pools; where it pools nothing, or the folder
    has no weights of the pooling, the mean over tokens or places.

    Parameters
    ----------
    folder : str
        With ``config.json`` and safetensors files.
    shape : tuple of int
        Of one input.

    Raises
    ------
    ValueError
        If the folder lacks a file, has weights in pickles only, or code of its own; if weights of
        the model are missing there; or if the model cannot take inputs of this shape.
    ImportError
        Without the extra ``mimo_sim[backbones]``.
    """

    def __init__(self, folder: str, shape: tuple[int, ...]) -> None:
        described = refuse_unsafe(folder)
        body = _Model(folder, described, shape)
        with torch.no_grad():
            try:
                feature = body.eval()(torch.zeros(2, *shape))
            except (RuntimeError, ValueError, IndexError) as error:
                raise ValueError(
                    f"the encoder {PREFIX + folder!r} cannot take inputs of the shape {shape}. "
                    f"It says: {error}"
                ) from error
        super().__init__(body.train(), feature.shape[1])


class _Model(nn.Module):
    """The model of a folder, from inputs to features."""

    def __init__(self, folder: str, described: dict[str, Any], shape: tuple[int, ...]) -> None:
        super().__init__()
        with explained():
            import transformers
        with _quiet(transformers):
            config = transformers.AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            if torch.get_default_device().type == "meta":  # only the shapes are asked for
                network, lacking = transformers.AutoModel.from_config(config), []
            else:
                network, found = transformers.AutoModel.from_pretrained(
                    folder,
                    config=config,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    output_loading_info=True,
                )
                lacking = sorted(found["missing_keys"])
        self.input = network.main_input_name
        if self.input not in INPUTS or len(shape) not in (3, 4):
            raise ValueError(
                f"the encoder {PREFIX + folder!r} must be a model of pictures or spectrograms, for "
                "inputs (channels, height, width) or (channels, frames, height, width). "
                f"Got a {described.get('model_type')} model, which takes {self.input}, and the "
                f"shape {shape}."
            )
        others = [key for key in lacking if not key.startswith("pooler.")]
        if others:
            raise ValueError(
                f"{folder} lacks weights of its model: {', '.join(others[:3])}"
                f"{' ...' if len(others) > 3 else ''}."
            )
        if lacking:
            network.pooler = None
        self.network = network.float()

    def forward(self, x: Tensor) -> Tensor:
        if self.input == "input_values":
            return self._features(x[:, 0].transpose(1, 2))
        return frame_mean(self._features, x)

    def _features(self, x: Tensor) -> Tensor:
        found = self.network(**{self.input: x})
        pooled: Tensor | None = getattr(found, "pooler_output", None)
        if pooled is not None:
            return pooled.flatten(1)
        hidden: Tensor = found.last_hidden_state
        return hidden.mean(1) if hidden.ndim == 3 else hidden.flatten(2).mean(2)


def refuse_unsafe(folder: str) -> dict[str, Any]:
    """What ``config.json`` of a folder says.

    Raises
    ------
    ValueError
        As :class:`Pretrained`, for the files of the folder.
    """
    place = Path(folder)
    wanted = f"`encoder` {PREFIX}FOLDER must name a folder with {CONFIG} and safetensors files"
    if not (place / CONFIG).is_file():
        raise ValueError(f"{wanted}. There is no {place / CONFIG}.")
    if not list(place.glob(f"*{WEIGHTS}")):
        raise ValueError(f"{wanted}; pickled weights can run code. {folder!r} has none.")
    try:
        described = json.loads((place / CONFIG).read_text())
        index = json.loads((place / INDEX).read_text()) if (place / INDEX).is_file() else {}
        shards = {str(name) for name in index.get("weight_map", {}).values()}
        coded = "auto_map" in described
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{wanted}. {folder!r} is damaged ({error}).") from None
    if coded:
        raise ValueError(f"{wanted}, and no code of its own. {place / CONFIG} has auto_map.")
    elsewhere = [name for name in sorted(shards) if not _is_weights(name)]
    if elsewhere:
        raise ValueError(f"{wanted}. {place / INDEX} names {elsewhere[0]!r}.")
    return described  # type: ignore[no-any-return]


def _is_weights(name: str) -> bool:
    return name.endswith(WEIGHTS) and Path(name).name == name


def checksum(folder: str) -> str:
    """Of the model and the weights of a folder."""
    place = Path(folder)
    paths = [place / CONFIG, *sorted(place.glob(f"*{WEIGHTS}"))]
    stamps = tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths)
    return _checksum(stamps)


@lru_cache(maxsize=8)
def _checksum(stamps: tuple[tuple[str, int, int], ...]) -> str:
    found = hashlib.sha256()
    for path, _, _ in stamps:
        with Path(path).open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without the bars and remarks of transformers, whose findings are checked here."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
