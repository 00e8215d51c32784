"""Raw files of data sets: where they lie, whether they are the right ones, how to fetch them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo_sim._files import replacing


@dataclass(frozen=True)
class Download:
    """One thing to fetch, and the files that it holds.

    Attributes
    ----------
    url : str
        A file, or a ``.tar.gz`` archive from which files are taken by their last name. It is empty
        where the files cannot be fetched.
    files : mapping
        Path below the data folder -> "algorithm:hexadecimal sum" of its content. For a ``.gz``
        file that is the *decompressed* content: mirrors compress differently, the content is the
        same.
    size : int
        Bytes to fetch, roughly.
    """

    url: str
    files: Mapping[str, str]
    size: int


@dataclass(frozen=True)
class Fault:
    """A raw file that cannot be used.

    Attributes
    ----------
    path : Path
    expected : str
        Its sum as it should be.
    found : str or None
        Its sum as it is, or what else is wrong; None when the file is missing.
    """

    path: Path
    expected: str
    found: str | None

    def __str__(self) -> str:
        state = "is missing" if self.found is None else f"is damaged: its content has {self.found}"
        return f"{self.path} {state} (expected {self.expected})"


def cache_folder() -> Path:
    """``$MIMO_SIM_CACHE``, or the operating system's folder for caches."""
    import pooch

    return Path(os.environ.get("MIMO_SIM_CACHE") or pooch.os_cache("mimo_sim"))


def data_folder(root: str | Path | None) -> tuple[Path, bool]:
    """The folder of raw files, and whether it fills itself from the network.

    It is `root`, else ``$MIMO_SIM_DATA``, else a folder in the cache. Only the last fills itself.
    """
    chosen = root or os.environ.get("MIMO_SIM_DATA")
    if chosen:
        return Path(chosen), False
    return cache_folder() / "data", True


@contextmanager
def located(root: str | Path | None) -> Iterator[None]:
    """Inside this block, the error about a missing file also says how the folder was chosen."""
    try:
        yield
    except FileNotFoundError as error:
        if len(error.args) != 1:  # of the system, not a sentence of ours
            raise
        folder, _ = data_folder(root)
        lacking = "" if folder.is_dir() else ", which is not there"
        raise FileNotFoundError(
            f"{error} (The data folder is {folder}{lacking}; choose another one with `root`, "
            "--root or $MIMO_SIM_DATA.)"
        ) from None


def cached_arrays(
    name: str,
    about: Any,
    keys: Sequence[str],
    make: Callable[[], dict[str, npt.NDArray[Any]]],
) -> dict[str, npt.NDArray[Any]]:
    """Arrays from the cache, or made and put there.

    The archive holds checksums, which are verified on reading; a damaged archive is made anew.

    Parameters
    ----------
    name : str
        Start of the file's name.
    about : JSON tree
        Everything that decides the arrays.
    keys : sequence of str
        Their names.
    make : function
        Gives them.
    """
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    path = cache_folder() / f"{name}-{digest}.npz"
    try:
        with zipfile.ZipFile(path), np.load(path) as stored:
            return {key: stored[key] for key in keys}
    except (OSError, zipfile.BadZipFile, ValueError, EOFError, KeyError):
        arrays = make()
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]
        return arrays


def _content(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def _checked(path: Path, expected: str) -> bytes | Fault:
    """The content of a file, or what is wrong with it."""
    algorithm = expected.partition(":")[0]
    try:
        content = _content(path)
    except FileNotFoundError:
        return Fault(path, expected, None)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        return Fault(path, expected, f"no valid gzip stream ({error})")
    found = f"{algorithm}:{hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()}"
    return content if found == expected else Fault(path, expected, found)


def read(root: Path, path: str, expected: str, remedy: str) -> bytes:
    """The checked content of one file.

    Parameters
    ----------
    root : path
    path : str
        Below `root`.
    expected : str
        "algorithm:hexadecimal sum".
    remedy : str
        The command that mends a bad file, for the message.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing, or its sum differs. The message names the file and both sums.
    """
    content = _checked(root / path, expected)
    if isinstance(content, bytes):
        return content
    kind = FileNotFoundError if content.found is None else ValueError
    raise kind(f"{content}. Mend it with: {remedy}")


def faults(
    root: Path, downloads: Sequence[Download], on_file: Callable[[], None] = lambda: None
) -> list[Fault]:
    """Every file of `downloads` that is missing below `root` or has another sum."""
    found = []
    for download in downloads:
        for path, expected in download.files.items():
            content = _checked(root / path, expected)
            if isinstance(content, Fault):
                found.append(content)
            on_file()
    return found


def fetch(
    root: Path, downloads: Sequence[Download], on_download: Callable[[], None] = lambda: None
) -> list[Path]:
    """Download what is missing or damaged below `root`; good files are not touched.

    Returns
    -------
    list of paths
        The files written.

    Raises
    ------
    ValueError
        If what arrives has another sum than expected, or a bad file has no address. Nothing is
        written then.
    OSError
        If the network or the disk fails.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    written: list[Path] = []
    for download in downloads:
        wanted = faults(root, [download])
        if wanted and not download.url:
            raise ValueError(f"{wanted[0]}. Put the right file there, or delete it.")
        if wanted:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as folder:
                parts = _arrived(download, Path(folder))
                _check_arrived(download, wanted, parts)
                for fault in wanted:
                    with replacing(fault.path) as temporary:
                        os.replace(parts[fault.path.name], temporary)
                    written.append(fault.path)
        on_download()
    return written


def _arrived(download: Download, folder: Path) -> dict[str, Path]:
    """Fetch into `folder`; the files that came, by their last name."""
    import pooch

    name = PurePosixPath(download.url).name
    file = Path(pooch.retrieve(download.url, known_hash=None, fname=name, path=folder))
    return _unpack(file, folder) if name.endswith(".tar.gz") else {file.name: file}


def _check_arrived(download: Download, wanted: Sequence[Fault], parts: Mapping[str, Path]) -> None:
    """Raise ``ValueError`` unless every wanted file came, with the right sum."""
    for fault in wanted:
        name = fault.path.name
        found: str | None = None
        if name in parts:
            content = _checked(parts[name], fault.expected)
            if isinstance(content, bytes):
                continue
            found = content.found
        raise ValueError(
            f"{download.url} does not hold the expected {name}: "
            f"found {found}, expected {fault.expected}."
        )


def _unpack(archive: Path, folder: Path) -> dict[str, Path]:
    """The plain files of an archive by their last name, written side by side into `folder`."""
    parts: dict[str, Path] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                name = PurePosixPath(member.name).name
                parts[name] = folder / f"part-{len(parts)}"
                parts[name].write_bytes(content.read())
    return parts
