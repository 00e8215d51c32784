"""Stores: prepared samples in checked files of fixed shapes, written once, read in any order.

A store is a folder. ``<array>-<number>.npy`` holds some samples of one array, a *shard*;
``shard-<number>.json`` its samples and checksums; ``manifest.json`` everything else. Each file
appears whole or not at all, the manifest last. So preparing can be killed at any time; done again,
it makes the shards that are missing, and the store has the same bytes as if nothing had happened.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo_sim._checks import check_count
from mimo_sim._files import replacing
from mimo_sim.datasets._media import MediaError

FORMAT = 1
MANIFEST = "manifest.json"
SHARD_BYTES = 2**25  # of all arrays of a shard together, about
SHARD_SAMPLES = 128  # at most
SPLITS = ("train", "validation", "test")
MOST_NAMED = 5  # so many missing samples are named, the rest are counted

Arrays = Mapping[str, npt.NDArray[Any]]
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Sample:
    """One entry of a data set's lists.

    Attributes
    ----------
    id : str
        As the lists have it.
    split : str
        "train", "validation" or "test".
    target : int or float
        Class number, or the number to be predicted.
    files : tuple of Path
        What its arrays are made of.
    """

    id: str
    split: str
    target: int | float
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a store is to hold.

    Attributes
    ----------
    name : str
        Of the data set.
    root : Path
        The data folder; the store lies below it.
    about : mapping
        JSON: the settings and the version of the recipe, which decide the numbers.
    arrays : mapping
        Name -> type and shape of one sample.
    samples : sequence of Sample
        Every entry of the lists, in their order.
    make : callable
        ``make(sample)`` gives its arrays; it raises :class:`MediaError` for files of no use.
    lists : mapping
        List file -> what its content is checked by: "sha256:...".
    dropped : mapping
        Id of an entry that is left out on purpose -> why.
    """

    name: str
    root: Path
    about: Mapping[str, Any]
    arrays: Mapping[str, tuple[str, tuple[int, ...]]]
    samples: Sequence[Sample]
    make: Callable[[Sample], Arrays]
    lists: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the store lies."""
        return store_folder(self.root, self.name, self.about)

    @property
    def splits(self) -> list[str]:
        """The splits that have samples, in their usual order."""
        there = {sample.split for sample in self.samples}
        return [split for split in SPLITS if split in there]

    def shards(self) -> list[list[Sample]]:
        """The samples of every shard, whether their files are there or not."""
        bytes_each = sum(
            np.dtype(kind).itemsize * int(np.prod(shape)) for kind, shape in self.arrays.values()
        )
        size = min(SHARD_SAMPLES, max(1, SHARD_BYTES // bytes_each))
        samples = list(self.samples)
        return [samples[start : start + size] for start in range(0, len(samples), size)]


def store_folder(root: Path, name: str, about: Mapping[str, Any]) -> Path:
    """Folder of the store of a data set with these settings."""
    return root / "stores" / f"{name}-{_digest(about)[:12]}"


def _digest(tree: Any) -> str:
    text = json.dumps(tree, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sum(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, tree: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(tree, ensure_ascii=False, indent=1), encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of a store."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def versions() -> dict[str, str]:
    """What a store was made with."""
    packages = ("mimo_sim", "numpy", *(["av"] if find_spec("av") else []))
    return {package: version(package) for package in packages}


# --------------------------------------------------------------------------------------- writing


def prepare(
    plan: Plan, jobs: int = 1, allow_missing: bool = False, advance: Advance = lambda _: None
) -> dict[str, Any]:
    """Write the store of a plan, or what is missing of it; return its manifest.

    Parameters
    ----------
    plan : Plan
    jobs : int
        Shards that are made at the same time, >= 1. The bytes do not depend on it.
    allow_missing : bool
        Leave out samples whose files are missing or of no use. The manifest names them.
    advance : function
        Called with the number of samples done since the last call.

    Raises
    ------
    FileNotFoundError
        If files are missing, unless `allow_missing`. The message counts and names them.
    MediaError
        If files are of no use, unless `allow_missing`. The other samples are kept, so a second
        attempt is quick.
    ValueError
        If no sample is left, or an id is listed twice.
    """
    check_count("jobs", jobs)
    _refuse_double(plan)
    there = {s.id: _sizes(s) for s in plan.samples}
    absent = {
        s.id: f"missing: {_below(plan.root, s.files[there[s.id].index(-1)])}"
        for s in plan.samples
        if -1 in there[s.id]
    }
    if absent and not allow_missing:
        raise FileNotFoundError(_told(plan, absent, "are missing"))
    plan.folder.mkdir(parents=True, exist_ok=True)
    for leftover in plan.folder.glob(".*.part*"):  # of an attempt that was killed
        leftover.unlink()
    present = [[s for s in shard if s.id not in absent] for shard in plan.shards()]
    one = partial(_make_shard, plan, there, allow_missing, advance)
    with ThreadPoolExecutor(jobs) as pool:
        try:
            done = list(pool.map(one, range(len(present)), present))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    failed = {key: why for shard in done for key, why in shard["failed"].items()}
    if failed and not allow_missing:
        raise MediaError(_told(plan, failed, "cannot be used"))
    manifest = _manifest(plan, done, absent | failed)
    if not manifest["samples"]:
        raise ValueError(f"no sample of {plan.name} can be used: {_told(plan, absent | failed)}")
    expected = {name for shard in done for name in shard["sums"]} | {MANIFEST}
    expected |= {_shard_file(number) for number, shard in enumerate(done) if shard["sums"]}
    for stale in plan.folder.iterdir():
        if stale.name not in expected:
            stale.unlink()
    _write_json(plan.folder / MANIFEST, manifest)
    return manifest


def _refuse_double(plan: Plan) -> None:
    seen: set[str] = set()
    for sample in plan.samples:
        if sample.id in seen:
            raise ValueError(f"the lists of {plan.name} have {sample.id!r} twice.")
        seen.add(sample.id)


def _sizes(sample: Sample) -> list[int]:
    """Bytes of every file of a sample; -1 where there is none."""
    return [_size(path) for path in sample.files]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0 if path.is_dir() else -1
    except OSError:
        return -1


def _below(root: Path, path: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _told(plan: Plan, bad: Mapping[str, str], what: str = "are left out") -> str:
    """How many samples are bad in each split, and the first of them by name."""
    named = "; ".join(f"{key}: {why}" for key, why in list(bad.items())[:MOST_NAMED])
    more = f"; and {len(bad) - MOST_NAMED} more" if len(bad) > MOST_NAMED else ""
    counts = ", ".join(
        f"{sum(s.split == split and s.id not in bad for s in plan.samples)} kept / "
        f"{sum(s.split == split for s in plan.samples)} listed in {split}"
        for split in plan.splits
    )
    return (
        f"{len(bad)} of {len(plan.samples)} samples of {plan.name} {what} below {plan.root} "
        f"({counts}): {named}{more}. Get them, or leave them out with --allow-missing."
    )


def _shard_file(number: int) -> str:
    return f"shard-{number:05d}.json"


def _make_shard(
    plan: Plan,
    sizes: Mapping[str, Sequence[int]],
    reuse_failed: bool,
    advance: Advance,
    number: int,
    samples: Sequence[Sample],
) -> dict[str, Any]:
    """Write one shard, unless it is there; return what its JSON file says."""
    facts = [
        [s.id, s.split, s.target, [f.name for f in s.files], list(sizes[s.id])] for s in samples
    ]
    key = _digest([FORMAT, plan.name, plan.about, plan.arrays, facts])
    found = _finished_shard(plan.folder, number, key)
    if found and (reuse_failed or not found["failed"]):
        advance(len(samples))
        return found
    kept: list[Sample] = []
    rows: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in plan.arrays}
    failed: dict[str, str] = {}
    for sample in samples:
        try:
            made = plan.make(sample)
            for name, (kind, shape) in plan.arrays.items():
                rows[name].append(_row(name, made[name], kind, shape))
            kept.append(sample)
        except MediaError as error:
            failed[sample.id] = str(error).replace(f"{plan.root}/", "")
        advance(1)
    sums = {}
    for name, made_rows in rows.items() if kept else ():
        path = plan.folder / f"{name}-{number:05d}.npy"
        with replacing(path) as temporary:
            np.save(temporary, np.stack(made_rows))
            sums[path.name] = file_sum(temporary)
    told = {
        "key": key,
        "samples": [[s.id, s.split, s.target] for s in kept],
        "sums": sums,
        "failed": failed,
    }
    if samples:
        _write_json(plan.folder / _shard_file(number), told)
    return told


def _row(name: str, value: Any, kind: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """One sample of an array; refuses another shape, and numbers that are not finite."""
    array = np.asarray(value).astype(kind, copy=False)
    if array.shape != tuple(shape):
        raise ValueError(f"`{name}` of a sample must be {tuple(shape)}. Got {array.shape}.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise MediaError(f"its {name} is not finite")
    return array


def _finished_shard(folder: Path, number: int, key: str) -> dict[str, Any] | None:
    """What an earlier attempt says of a shard; None unless it is whole and of the same samples."""
    try:
        found = read_json(folder / _shard_file(number))
        whole = all(file_sum(folder / name) == value for name, value in found["sums"].items())
    except (OSError, ValueError, KeyError):
        return None
    return found if whole and found["key"] == key else None


def _manifest(
    plan: Plan, shards: Sequence[Mapping[str, Any]], left_out: Mapping[str, str]
) -> dict[str, Any]:
    samples = [sample for shard in shards for sample in shard["samples"]]
    return {
        "format": FORMAT,
        "name": plan.name,
        "about": dict(plan.about),
        "versions": versions(),
        "lists": dict(plan.lists),
        "arrays": {name: [kind, list(shape)] for name, (kind, shape) in plan.arrays.items()},
        "splits": {
            split: {
                "listed": sum(s.split == split for s in plan.samples),
                "kept": sum(sample[1] == split for sample in samples),
            }
            for split in plan.splits
        },
        "kept": _digest([sample[0] for sample in samples]),
        "left_out": dict(left_out),
        "dropped": dict(plan.dropped),
        "shards": [
            {"number": number, "samples": len(shard["samples"]), "sums": shard["sums"]}
            for number, shard in enumerate(shards)
            if shard["sums"]
        ],
        "samples": samples,
    }


# --------------------------------------------------------------------------------------- reading


def opened(folder: Path, remedy: str) -> dict[str, Any]:
    """The manifest of a finished store.

    Raises
    ------
    FileNotFoundError
        If the store is not there, or not finished; `remedy` is the command that makes it.
    ValueError
        If another version of the package wrote it.
    """
    try:
        manifest = read_json(folder / MANIFEST)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no prepared store {folder}. Make it with: {remedy}"
        ) from None
    if manifest.get("format") != FORMAT:
        raise ValueError(f"{folder} has another format. Delete it, then: {remedy}")
    return manifest


def faults(folder: Path, advance: Advance = lambda _: None) -> list[str]:
    """Every file of a finished store that is missing or has another checksum."""
    found = []
    manifest = read_json(folder / MANIFEST)
    for shard in manifest["shards"]:
        for name, expected in shard["sums"].items():
            path = folder / name
            if not path.is_file():
                found.append(f"{path} is missing")
            elif file_sum(path) != expected:
                found.append(f"{path} is damaged: expected sha256 {expected}")
        advance(shard["samples"])
    return found
