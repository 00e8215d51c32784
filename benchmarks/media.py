"""Preparing real clips, beside a plain loop with OpenCV and ffmpeg: `python -m benchmarks.media`.

Both make of every clip what CREMA-D's published recipe asks for: one picture of 224 x 224 and a
log spectrogram of three seconds. Ours is `mimo-sim data prepare`: it decodes with PyAV, checks, and
writes a store with checksums. The plain loop is what preparation scripts of the field do: OpenCV
reads all pictures, ffmpeg (as moviepy calls it) writes the sound into a pipe, NumPy saves a file.
Rounds of both alternate. Times are of processors, of all processes together, so clips per second
are those of one core, however busy the others are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from mimo_sim._files import replacing
from mimo_sim.datasets import _clips as clips
from mimo_sim.datasets import _media as media
from mimo_sim.datasets import _store as store

SIZE, FRAMES = clips.SIZE, 1
SPECTRUM = clips.OGM_CREMAD
Loop = Callable[[Sequence[Path], Path], None]


def processor_seconds() -> float:
    """Of this process and of those that it started and that are over."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def ours(paths: Sequence[Path], out: Path) -> None:
    """A store, as `data prepare --jobs 1` writes it."""
    samples = [store.Sample(path.stem, "train", 0, (path, path)) for path in paths]
    kinds = {"audio": ("float32", SPECTRUM.shape), "video": ("uint8", (3, FRAMES, SIZE, SIZE))}
    make = partial(clips._arrays, SPECTRUM, SIZE, FRAMES)
    store.prepare(store.Plan("clips", out, {"size": SIZE}, kinds, samples, make))


def by_pyav(paths: Sequence[Path], out: Path) -> None:
    """A plain loop with PyAV: every picture becomes an array, the sound is decoded once more."""
    import av

    for path in paths:
        with av.open(str(path)) as container:
            shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        with av.open(str(path)) as container:
            to_mono = av.AudioResampler(format="flt", layout="mono", rate=SPECTRUM.rate)
            pieces = [
                piece.to_ndarray().ravel()
                for frame in container.decode(audio=0)
                for piece in to_mono.resample(frame)
            ]
        middle = shown[len(shown) // 2]
        frame = av.VideoFrame.from_ndarray(middle, "rgb24").reformat(SIZE, SIZE)
        _keep(out / path.stem, frame.to_ndarray(format="rgb24"), np.concatenate(pieces))


def by_opencv(paths: Sequence[Path], out: Path) -> None:
    """The usual loop: OpenCV for pictures, ffmpeg in a process of its own for sound."""
    import cv2
    import imageio_ffmpeg

    cv2.setNumThreads(1)
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    options = ["-vn", "-ac", "1", "-ar", str(SPECTRUM.rate), "-f", "f32le", "-"]
    for path in paths:
        capture, shown = cv2.VideoCapture(str(path)), []
        while True:
            good, picture = capture.read()
            if not good:
                break
            shown.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        capture.release()
        command = [ffmpeg, "-v", "error", "-threads", "1", "-i", str(path), *options]
        sound = subprocess.run(command, capture_output=True, check=True).stdout
        middle = cv2.resize(shown[len(shown) // 2], (SIZE, SIZE))
        _keep(out / path.stem, middle, np.frombuffer(sound, np.float32))


def _keep(place: Path, picture: Any, wave: media.Wave) -> None:
    np.save(f"{place}-video.npy", picture)
    np.save(f"{place}-audio.npy", SPECTRUM.make(wave))


def measure(paths: Sequence[Path], rounds: int) -> dict[str, Any]:
    """Clips per second of one core, and what ours is faster by, round by round."""
    loops: dict[str, Loop] = {"ours": ours, "pyav_loop": by_pyav}
    if find_spec("cv2") and find_spec("imageio_ffmpeg"):
        loops["opencv_loop"] = by_opencv
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for round_ in range(rounds + 1):
        for name, loop in loops.items() if round_ % 2 else reversed(loops.items()):
            with tempfile.TemporaryDirectory() as out:
                start = processor_seconds()
                loop(paths, Path(out))
                if round_:  # the first warms up
                    rates[name].append(len(paths) / (processor_seconds() - start))
    found: dict[str, Any] = {
        f"{name}_clips_per_second": statistics.median(values) for name, values in rates.items()
    }
    for name in list(loops)[1:]:
        ratios = [a / b for a, b in zip(rates["ours"], rates[name], strict=True)]
        found[f"ratio_to_{name}"] = [min(ratios), statistics.median(ratios), max(ratios)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    home = Path(os.environ.get("MIMO_SIM_DATA", "data"))
    parser.add_argument("--clips", type=Path, default=home / "fixtures" / "cremad")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/media.json"))
    given = parser.parse_args()
    paths = sorted(given.clips.glob("*.flv"))
    if not paths:
        print(f"no clips (.flv) in {given.clips}: nothing measured. Name a folder with --clips.")
        return
    found = {
        "what": f"{len(paths)} clips {sorted({path.suffix for path in paths})} of CREMA-D",
        "recipe": f"{FRAMES} picture of {SIZE} x {SIZE}, {SPECTRUM.name}",
        "rounds": given.rounds,
        **measure(paths, given.rounds),
        "versions": {
            name: version(name)
            for name in ("av", "numpy", "opencv-python-headless", "imageio-ffmpeg")
            if find_spec({"opencv-python-headless": "cv2"}.get(name, name.replace("-", "_")))
        },
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load": os.getloadavg()[0],
    }
    with replacing(given.out) as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
