"""Clips in the true containers of the data sets: a digit to see and a tone to hear."""

from __future__ import annotations

import io
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
from scipy.io import wavfile

from mimo_sim.datasets import ave, cremad, kinetics_sounds, vggsound

LEVELS = ("LO", "MD", "HI", "XX")
EVERY = 5  # each fifth clip is a test clip
CODECS = {".flv": ("flv", "libmp3lame"), ".mp4": ("libx264", "aac")}
USED = 4  # classes that the small data sets have


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images.reshape(-1, 8, 8) * 15.9, labels


def picture(label: int, number: int) -> np.ndarray:
    """A handwritten digit of this class as (64, 64, 3)."""
    images, labels = digits()
    rows = np.flatnonzero(labels == label)
    grey = np.kron(images[rows[number % len(rows)]], np.ones((8, 8)))
    return np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)


def tone(label: int, seconds: float, rate: int, seed: int) -> np.ndarray:
    """A tone in noise; its pitch is the class."""
    time = np.arange(round(seconds * rate)) / rate
    noise = 0.05 * np.random.default_rng(seed).standard_normal(len(time))
    return 0.3 * np.sin(2 * np.pi * 300 * (label + 1) * time) + noise


def encode(
    path: Path,
    label: int,
    number: int,
    *,
    seconds: float = 1.0,
    rate: float = 10,
    heard: bool = True,
    seen: bool = True,
) -> Path:
    """Write a clip in the container that the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    kind = {".flv": "flv", ".mp4": "mp4"}[path.suffix]
    pictures, sounds = CODECS[path.suffix]
    with av.open(buffer, "w", format=kind) as container:
        frames_per_second = Fraction(rate).limit_denominator(1001)
        video: Any = container.add_stream(pictures, rate=frames_per_second) if seen else None
        sound: Any = container.add_stream(sounds, rate=22_050) if heard else None
        if seen:
            video.width = video.height = 64
            video.pix_fmt = "yuv420p"
            video.codec_context.thread_count = 1
            for _ in range(max(1, round(seconds * rate))):
                frame = av.VideoFrame.from_ndarray(picture(label, number), format="rgb24")
                container.mux(video.encode(frame))
            container.mux(video.encode())
        if heard:
            wave = tone(label, seconds, 22_050, number).astype(np.float32)
            part = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            part.rate = 22_050
            container.mux(sound.encode(part))
            container.mux(sound.encode())
    path.write_bytes(buffer.getvalue())
    return path


def split_of(number: int) -> str:
    return "train" if number % EVERY else "test"


def make_cremad(root: Path, clips: int) -> list[str]:
    """So many clips of CREMA-D and their lists; the names of the clips."""
    folder = root / cremad.FOLDER
    lists: dict[str, list[str]] = {"train": [], "test": []}
    names = []
    for number in range(clips):
        label = number % len(cremad.LABELS)
        name = f"{1001 + number // 8}_S{number:02d}_{cremad.LABELS[label]}_{LEVELS[number % 4]}"
        heard = number % 10 == 0  # not read: the sound lies beside it, as published
        encode(folder / "VideoFlash" / f"{name}.flv", label, number, rate=15, heard=heard)
        (folder / "AudioWAV").mkdir(exist_ok=True)
        wave = (20_000 * tone(label, 1.0, 16_000, number)).astype(np.int16)
        wavfile.write(folder / "AudioWAV" / f"{name}.wav", 16_000, wave)
        lists[split_of(number)].append(f"{name},{cremad.LABELS[label]}")
        names.append(name)
    for split, lines in lists.items():
        (folder / f"{split}.csv").write_text("\n".join(lines))
    return names


def make_kinetics_sounds(root: Path, clips: int) -> list[str]:
    """The train list has full names, the test list short ones, as published."""
    folder = root / kinetics_sounds.FOLDER
    lists: dict[str, list[str]] = {"train": [], "test": []}
    names = []
    for number in range(clips):
        label, split = number % USED, split_of(number)
        full = f"-a_{number:08d}_{number:06d}_{number + 10:06d}"
        name = full if split == "train" else f"-a_{number:08d}_{number}"
        encode(folder / "train_256" / f"{full}.mp4", label, number, rate=29.97)
        lists[split].append(f"{name},10,{7 * label}")
        names.append(name)
    for split, (file, _) in kinetics_sounds.LISTS.items():
        (folder / file).write_text("\n".join(lists[split]))
    return names


def make_vggsound(root: Path, clips: int) -> list[str]:
    """Names with and without zeros, labels with commas; one id has letters beyond ASCII."""
    folder = root / vggsound.FOLDER
    labels = [name for name in vggsound.CLASSES if "," in name][:USED]
    lines, names = [], []
    for number in range(clips):
        key = "größe_日本語" if number == 1 else f"_b-{number:08d}"
        name = f"{key}_{number:06d}"
        file = name if number % 2 else f"{key}_{number}"
        encode(folder / "video" / f"{file}.mp4", number % USED, number, rate=25)
        lines.append(f'{key},{number},"{labels[number % USED]}",{split_of(number)}')
        names.append(name)
    (folder / vggsound.LIST).write_text("\n".join(lines), encoding="utf-8")
    return names


def make_ave(root: Path, clips: int) -> list[str]:
    """With one video that is in train and in test."""
    folder = root / ave.FOLDER
    lines, names = [], []
    orders: dict[str, list[int]] = {split: [] for split in ave.ORDERS}
    for number in range(clips):
        name = f"c-{number:09d}"
        encode(folder / "AVE" / f"{name}.mp4", number % USED, number, rate=10)
        lines.append(f"{ave.CLASSES[number % USED]}&{name}&good&0&10")
        split = "validation" if number % EVERY == 1 else split_of(number)
        orders[split].append(number)
        names.append(name)
    lines.append(lines[0])
    orders["train"].append(clips)
    (folder / ave.LIST).write_text("\n".join(lines) + "\n")
    for split, file in ave.ORDERS.items():
        with h5py.File(folder / file, "w") as written:
            written["order"] = np.array(orders[split])
    return names


MAKERS = {
    "cremad": make_cremad,
    "kinetics_sounds": make_kinetics_sounds,
    "vggsound": make_vggsound,
    "ave": make_ave,
}
