"""What data sets of three feature sequences share: cleaning, standardising, a fixed length.

Words, sound and face of a sentence come as sequences of feature vectors that others computed. In a
store each is (steps, numbers): its real steps first, then zeros, which the encoder ``gru`` leaves
out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mimo_sim.datasets import _files as files
from mimo_sim.datasets import _store as store
from mimo_sim.datasets._media import MediaError
from mimo_sim.datasets._stored import dataset_of

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Dataset

VERSION = 1  # raise it when the numbers change, so that no old store is taken for a new one
MOST = 10.0  # standard deviations: a few numbers of COVAREP lie millions of them away
FLAT = 1e-6  # a feature that moves less is only centred

Floats = npt.NDArray[np.float32]
Sequences = Mapping[str, Any]  # modality -> (steps, numbers)


@dataclass
class Read:
    """The raw files of a data set, read.

    Attributes
    ----------
    samples : list of Sample
    sequences : dict
        Id -> modality -> (its own number of steps, numbers).
    dropped : dict
        Id -> why it is left out on purpose.
    unusable : dict
        Id -> why there are no sequences of it: an error, unless it may be left out.
    lists : dict
        Raw file -> its checksum.
    """

    samples: list[store.Sample] = field(default_factory=list)
    sequences: dict[str, Sequences] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)


def clean(raw: Any) -> Floats:
    """A sequence (steps, numbers) in float32: inf and nan are 0, zero steps at both ends go."""
    with np.errstate(over="ignore"):  # what float32 cannot hold is inf
        x = np.asarray(raw).astype(np.float32)
    x = np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)
    (real,) = np.nonzero(x.any(1))
    return x[real[0] : real[-1] + 1] if len(real) else x[:0]


def statistics(
    sequences: Iterator[Floats],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation of every feature over all steps that are not zero."""
    count, total, squares = 0, np.zeros(1), np.zeros(1)
    for x in sequences:
        real = x[x.any(1)].astype(np.float64)
        count += len(real)
        total = total + real.sum(0)
        squares = squares + (real**2).sum(0)
    mean = total / max(1, count)
    deviation = np.sqrt(np.maximum(squares / max(1, count) - mean**2, 0))
    return mean, np.where(deviation > FLAT * (1 + np.abs(mean)), deviation, 1.0)


def plan(
    name: str, root: Path, about: Mapping[str, Any], steps: Mapping[str, int], read: Read
) -> store.Plan:
    """The plan of a store.

    Parameters
    ----------
    name, root, about
        As in :class:`mimo_sim.datasets._store.Plan`.
    steps : mapping
        Modality -> steps that are kept, the last ones of a sequence.
    read : Read

    Notes
    -----
    Every feature is standardised by its mean and standard deviation over the steps of the train
    split, and limited to 10 of them. Steps that are all zero stay zero: there was no word, no
    sound or no face.
    """
    kept = [sample for sample in read.samples if sample.id not in read.dropped]
    train = [s.id for s in kept if s.split == "train" and s.id not in read.unusable]
    scales = {key: statistics(clean(read.sequences[one][key]) for one in train) for key in steps}
    arrays = {key: ("float32", (steps[key], len(scales[key][0]))) for key in steps}
    make = partial(_arrays, read, scales, dict(steps))
    return store.Plan(name, root, about, arrays, kept, make, read.lists, read.dropped, read.lists)


def _arrays(
    read: Read,
    scales: Mapping[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]],
    steps: Mapping[str, int],
    sample: store.Sample,
) -> dict[str, Floats]:
    """The arrays of one sample."""
    if sample.id in read.unusable:
        raise MediaError(read.unusable[sample.id])
    found = {}
    for key, length in steps.items():
        x = clean(read.sequences[sample.id][key])[-length:]
        mean, deviation = scales[key]
        scaled = np.clip((x - mean) / deviation, -MOST, MOST) * x.any(1, keepdims=True)
        found[key] = np.zeros((length, len(mean)), np.float32)
        found[key][: len(x)] = scaled
    return found


def read_packed(
    path: Path, content: Mapping[str, Any], target: Callable[[Any], int | float]
) -> Read:
    """A pickle of MulT or MultiBench: train, valid, test with padded arrays (n, steps, numbers).

    Samples whose text is all zero are dropped.

    Raises
    ------
    ValueError
        If a part is missing, or the arrays have different lengths.
    """
    from mimo_sim.datasets._pickles import text_of

    found = Read()
    used: dict[str, int] = {}
    for key, split in (("train", "train"), ("valid", "validation"), ("test", "test")):
        part = content.get(key) if isinstance(content, Mapping) else None
        absent = [one for one in ("text", "audio", "vision", "labels") if one not in (part or {})]
        if not isinstance(part, Mapping) or absent:
            raise ValueError(f"{path} must have {absent or 'arrays'} in {key!r}.")
        lengths = {one: len(part[one]) for one in ("text", "audio", "vision", "labels")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"{path} must have as many of each in {key!r}. Got {lengths}.")
        for row in range(lengths["text"]):
            words = [text_of(one) for one in np.ravel(part["id"][row])] if "id" in part else []
            one = "_".join(words) or f"{key}-{row}"
            used[one] = used.get(one, 0) + 1
            one += f"#{used[one]}" if used[one] > 1 else ""
            value = target(float(np.ravel(part["labels"][row])[0]))
            found.samples.append(store.Sample(one, split, value, (path,)))
            found.sequences[one] = {m: part[m][row] for m in ("text", "audio", "vision")}
            if not np.any(part["text"][row]):
                found.dropped[one] = "its text is all zero"
    return found


def steps_of(read: Read) -> dict[str, int]:
    """The padded length of every modality."""
    first = next(iter(read.sequences.values()))
    return {key: len(x) for key, x in first.items()}


def load(
    name: str,
    root: str | Path | None,
    seed: int,
    about: Mapping[str, Any],
    classes: Sequence[str],
    given: Mapping[str, Any],
    relabel: Callable[[float], float | None] = lambda value: value,
) -> Dataset:
    """The data set in the store of these settings.

    Parameters
    ----------
    name, root, seed
    about : mapping
        The settings that name the store.
    classes : sequence of str
        Empty for regression.
    given : mapping
        The same as the user gives them, for the message.
    relabel : callable
        Stored target -> target; None leaves the sample out.

    Raises
    ------
    FileNotFoundError
        If the data set was not prepared with these settings.
    """
    from mimo_sim.datasets._data import Modality

    folder, _ = files.data_folder(root)
    place = store.store_folder(folder, name, about)
    options = "".join(f" --option {key}={value}" for key, value in given.items())
    remedy = f"mimo-sim data prepare {name} --root {folder}{options}"
    manifest = store.opened(place, remedy)
    samples = []
    for one, split, value in manifest["samples"]:
        new = relabel(value)
        samples.append([one, split, new] if new is not None else [one, "left out", 0])
    modalities = [Modality(key, tuple(shape)) for key, (_, shape) in manifest["arrays"].items()]
    return dataset_of(place, manifest | {"samples": samples}, seed, modalities, classes)
