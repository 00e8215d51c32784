"""The raw files of AV-MNIST: MNIST's images and the recordings of the Free Spoken Digit Dataset."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from mimo_sim.datasets import _files as files
from mimo_sim.datasets._avmnist_recipe import RATE, WINDOW, Bytes, FloatArray, Indices

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist"
MNIST = (  # file, md5 sum of its decompressed content, bytes to fetch
    ("train-images-idx3-ubyte.gz", "6bbc9ace898e44ae57da46a324031adb", 9_912_422),
    ("train-labels-idx1-ubyte.gz", "a25bea736e30d166cdddb491f175f624", 28_881),
    ("t10k-images-idx3-ubyte.gz", "2646ac647ad5339dbf082846283269ea", 1_648_877),
    ("t10k-labels-idx1-ubyte.gz", "27ae3e4e09519cfbb04c329615203637", 4_542),
)
FSDD = "https://github.com/Jakobovski/free-spoken-digit-dataset"
FSDD_COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"


def _downloads() -> tuple[files.Download, ...]:
    mnist = [
        files.Download(f"{MIRROR}/{name}", {f"mnist/{name}": f"md5:{digest}"}, size)
        for name, digest, size in MNIST
    ]
    recordings = {}
    for line in (resources.files(__package__) / "fsdd.sha256").read_text().splitlines():
        digest, name = line.split()
        recordings[f"fsdd/recordings/{name}"] = f"sha256:{digest}"
    fsdd = files.Download(f"{FSDD}/archive/{FSDD_COMMIT}.tar.gz", recordings, 16_000_000)
    return (*mnist, fsdd)


DOWNLOADS = _downloads()


def parse_idx(content: bytes, path: str) -> Bytes:
    """The array in an idx file of unsigned bytes; `path` names the file in messages.

    Raises
    ------
    ValueError
        If it is another kind of file, or has more or fewer values than its header says.
    """
    header = np.frombuffer(content[:4], np.uint8)
    if len(header) < 4 or tuple(header[:3]) != (0, 0, 8):
        raise ValueError(
            f"{path} must be an idx file of unsigned bytes (it starts 00 00 08). "
            f"Got a file that starts {content[:3].hex(' ')}."
        )
    axes = int(header[3])
    shape = np.frombuffer(content[4 : 4 + 4 * axes], ">u4").astype(int)
    values = np.frombuffer(content[4 + 4 * axes :], np.uint8)
    if values.size != shape.prod():
        raise ValueError(
            f"{path} must hold {shape.prod()} values for its shape {tuple(map(int, shape))}. "
            f"Got {values.size}."
        )
    return values.reshape(shape)


class Raw:
    """The raw files below a folder; every file is compared with its sum when it is read.

    Parameters
    ----------
    root : path
        Holds ``mnist/`` and ``fsdd/recordings/``.
    downloads : sequence of Download
        The files and their sums.
    """

    def __init__(self, root: Path, downloads: Sequence[files.Download] = DOWNLOADS) -> None:
        self.root = root
        self.sums: dict[str, str] = {}
        for download in downloads:
            self.sums.update(download.files)

    def read(self, path: str) -> bytes:
        """Checked content of a file; see :func:`mimo_sim.datasets._files.read`."""
        remedy = f"mimo-sim data prepare avmnist --root {self.root}"
        return files.read(self.root, path, self.sums[path], remedy)

    def mnist(self, part: str) -> tuple[Bytes, Bytes]:
        """Images (n, 28, 28) and labels (n,) of ``"train"`` or ``"t10k"``."""
        images = f"mnist/{part}-images-idx3-ubyte.gz"
        labels = f"mnist/{part}-labels-idx1-ubyte.gz"
        return parse_idx(self.read(images), images), parse_idx(self.read(labels), labels)

    def speech(self, takes: Iterable[int]) -> tuple[list[FloatArray], Indices, list[str]]:
        """The recordings of these takes, in the order of their file names.

        Returns
        -------
        clips : list of arrays (length,)
            Scaled to a root mean square (RMS) of 1, then cut at one second.
        digits : array (n,)
        names : list of str

        Raises
        ------
        ValueError
            If a recording is not mono at 8000 Hz, or has fewer than 224 samples.
        """
        from scipy.io import wavfile

        wanted = set(takes)
        clips, digits, names = [], [], []
        for path in sorted(self.sums):
            name = Path(path).name
            if not name.endswith(".wav"):
                continue
            digit, _, take = Path(name).stem.split("_")
            if int(take) not in wanted:
                continue
            rate, samples = wavfile.read(io.BytesIO(self.read(path)))
            if rate != RATE or samples.ndim != 1 or len(samples) < WINDOW:
                raise ValueError(
                    f"{path} must be mono at {RATE} Hz with at least {WINDOW} samples. "
                    f"Got {rate} Hz, shape {samples.shape}."
                )
            wave = samples.astype(np.float32)
            rms = np.sqrt(np.mean(np.square(wave, dtype=np.float64)), dtype=np.float32)
            clips.append((wave / rms)[:RATE])
            digits.append(int(digit))
            names.append(name)
        return clips, np.array(digits), names
