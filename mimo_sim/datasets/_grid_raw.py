"""The raw files of GRID words: the original clips of one speaker, or a compact copy of them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo_sim._progress import progress_bar
from mimo_sim.datasets import _files as files

Arrays = dict[str, npt.NDArray[Any]]

MIRROR = "https://github.com/TVR28/LipNet"
COMMIT = "7cdd534e95aa989d9ce61c8739c64563bc496d01"
COPY = {  # of the 1,000 clips; what is in it: `decode`
    "grid_s1/grid_s1.npz": "sha256:fd7d5608ceac6d4bdbb416d3311816f9dad35c63f84436226445d75d51420c25"
}
VERSION = 1  # raise it when `decode` changes, so that no old cache is taken for a new one

RATE = 8000  # samples per second of the sound that is kept
UNIT = 25_000  # the alignments count time in 1/25000 s
FRAME = 1000  # of these units: 25 frames per second
MARGIN = RATE * FRAME // UNIT  # samples kept before the first word and after the last: 40 ms
WORDS = 6  # of a sentence
SILENCE = ("sil", "sp")
MOUTH = (slice(190, 238), slice(80, 220))  # rows and columns of a picture of 288 x 360
BIN = 4  # so many rows and columns are averaged: a mouth has 12 x 35 pixels
ARRAYS = (
    *("names", "lips", "lip_start", "first_frame", "audio", "audio_start", "first_sample"),
    *("words", "clip", "begin", "end", "position"),
)


def _downloads() -> tuple[files.Download, ...]:
    originals = {}
    for line in (resources.files(__package__) / "grid_s1.sha256").read_text().splitlines():
        digest, path = line.split()
        originals[f"grid/{path}"] = f"sha256:{digest}"
    return (files.Download(f"{MIRROR}/archive/{COMMIT}.tar.gz", originals, 435_000_000),)


DOWNLOADS = _downloads()


def read(root: Path, progress: bool = False) -> Arrays:
    """What :func:`decode` gives for the whole speaker.

    It is read from the compact copy below `root` where there is one, else from the original clips.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is missing or damaged.
    MissingExtraError
        If the clips must be decoded and PyAV is not installed.
    """
    ((copy, expected),) = COPY.items()
    if (root / copy).exists():
        content = files.read(root, copy, expected, "the right file, or delete it")
        with np.load(io.BytesIO(content)) as stored:
            return {name: stored[name] for name in ARRAYS}
    return files.cached_arrays(
        "grid-s1",
        [VERSION, sorted(DOWNLOADS[0].files.items())],
        ARRAYS,
        lambda: decode(root, DOWNLOADS[0].files, progress),
    )


def decode(root: Path, sums: Mapping[str, str], progress: bool = False) -> Arrays:
    """The mouth and the sound of original clips, cut to the spoken part.

    Parameters
    ----------
    root : path
        Holds ``grid/s1/<name>.mpg`` and ``grid/alignments/s1/<name>.align``.
    sums : mapping
        The sum of every file, by its path below `root`.
    progress : bool
        Show a bar on stderr.

    Returns
    -------
    dict
        names : (n,), sorted.
        lips : (frames, 12, 35) uint8 of all clips in a row; the first of each is at lip_start (n,),
        and is frame first_frame (n,) of its clip, at 25 frames per second.
        audio : (samples,) int16 at 8 kHz, with audio_start (n,) and first_sample (n,) alike.
        words : (6 n,) text; clip : (6 n,) the place in names; position : (6 n,) 0 to 5.
        begin, end : (6 n,) in units of 1/25000 s from the start of the clip.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is missing, damaged, or in another format.
    MissingExtraError
        If PyAV is not installed.
    """
    names = sorted(Path(path).stem for path in sums if path.endswith(".mpg"))
    found: dict[str, list[Any]] = {name: [] for name in ARRAYS}
    found["names"] = names

    def content(path: str) -> bytes:
        return files.read(root, path, sums[path], f"mimo-sim data prepare grid --root {root}")

    num_frames = num_samples = 0
    with progress_bar(len(names), progress, "decoding grid") as advance:
        for clip, name in enumerate(names):
            path = f"grid/alignments/s1/{name}.align"
            spoken = _alignment(content(path).decode(), path)
            frames, sound = _clip(content(f"grid/s1/{name}.mpg"))
            start, stop = spoken[0][0], spoken[-1][1]
            first_frame = max(0, start // FRAME - 1)
            first_sample = max(0, round(start / UNIT * RATE) - MARGIN)
            frames = frames[first_frame : stop // FRAME + 2]
            sound = sound[first_sample : round(stop / UNIT * RATE) + MARGIN]
            found["lips"].append(frames)
            found["lip_start"].append(num_frames)
            found["first_frame"].append(first_frame)
            found["audio"].append(sound)
            found["audio_start"].append(num_samples)
            found["first_sample"].append(first_sample)
            num_frames += len(frames)
            num_samples += len(sound)
            for position, (begin, end, word) in enumerate(spoken):
                row = (("words", word), ("clip", clip), ("begin", begin), ("end", end))
                for key, value in (*row, ("position", position)):
                    found[key].append(value)
            advance(1)
    for key in ("lips", "audio"):
        found[key] = [np.concatenate(found[key])]
    return {
        key: values[0] if key in ("lips", "audio") else np.array(values)
        for key, values in found.items()
    }


def _alignment(text: str, path: str) -> list[tuple[int, int, str]]:
    """Begin, end and text of the words of a sentence; pauses are left out."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    try:
        spoken = [(int(begin), int(end), word) for begin, end, word in rows]
    except ValueError:
        raise ValueError(f"{path} must have lines 'begin end word'. Got {text[:40]!r}.") from None
    spoken = [row for row in spoken if row[2] not in SILENCE]
    if len(spoken) != WORDS:
        raise ValueError(f"{path} must have {WORDS} words. Got {len(spoken)}.")
    return spoken


def _clip(content: bytes) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
    """Mouth (frames, 12, 35) and mono sound (samples,) at 8 kHz of one clip."""
    import av

    to_mono = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    pictures: list[npt.NDArray[Any]] = []
    pieces: list[Any] = []
    with av.open(io.BytesIO(content), "r") as container:
        for part in container.decode(video=0, audio=0):
            if isinstance(part, av.VideoFrame):
                pictures.append(part.to_ndarray(format="gray")[MOUTH])
            elif isinstance(part, av.AudioFrame):
                pieces += to_mono.resample(part)
        pieces += to_mono.resample(None)
    mouth = np.stack(pictures).astype(np.float32)
    rows, columns = (side // BIN for side in mouth.shape[1:])
    binned = mouth.reshape(len(mouth), rows, BIN, columns, BIN).mean((2, 4)).round()
    return binned.astype(np.uint8), np.concatenate([piece.to_ndarray().ravel() for piece in pieces])
