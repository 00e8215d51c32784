"""Raw files of data sets: where they lie, that they are the right ones, how to fetch them."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mimo_sim._files import replacing


@dataclass(frozen=True)
class Download:
    """One thing to fetch and the files it holds.

    Attributes
    ----------
    url : str
        A file, or a ``.tar.gz`` archive from which files are taken by their last name.
    files : mapping
        Path below the data folder -> "algorithm:hexadecimal sum" of the content, which is the *decompressed* content for a ``.gz`` file: compressors
        differ between mirrors, contents do not.
    size : int
        Bytes to fetch, about.
    """

    url: str
    files: Mapping[str, str]
    size: int


@dataclass(frozen=True)
class Fault:
    """A raw file that cannot be used; ``found`` is None when it is missing."""

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
    """The folder of raw files: `root`, else ``$MIMO_SIM_DATA``, else one in the cache, which is the only one that fills itself (second value True)."""
    chosen = root or os.environ.get("MIMO_SIM_DATA")
    return (Path(chosen), False) if chosen else (cache_folder() / "data", True)


def _content(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def _read(path: Path, expected: str) -> bytes | Fault:
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

    Raises
    ------
    FileNotFoundError, ValueError
        If it is missing or its sum differs; the message names the file, both sums and `remedy`, the command that mends it.
    """
    content = _read(root / path, expected)
    if isinstance(content, bytes):
        return content
    raise (FileNotFoundError if content.found is None else ValueError)(
        f"{content}. Mend it with: {remedy}"
    )


def faults(
    root: Path, downloads: Sequence[Download], on_file: Callable[[], None] = lambda: None
) -> list[Fault]:
    """Every file of `downloads` that is missing below `root` or has another sum."""
    found = []
    for download in downloads:
        for path, expected in download.files.items():
            content = _read(root / path, expected)
            if isinstance(content, Fault):
                found.append(content)
            on_file()
    return found


def fetch(
    root: Path, downloads: Sequence[Download], on_download: Callable[[], None] = lambda: None
) -> list[Path]:
    """Download what is missing or damaged below `root`; returns the files written. Good files are not touched.

    Raises
    ------
    ValueError
        If what arrives has another sum than expected. Nothing is written then.
    OSError
        If the network or the disk fails.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    written = []
    for download in downloads:
        wanted = {fault.path: fault.expected for fault in faults(root, [download])}
        if wanted:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as folder:
                name = PurePosixPath(download.url).name
                arrived = Path(
                    pooch.retrieve(download.url, known_hash=None, fname=name, path=folder)
                )
                parts = (
                    _unpack(arrived, Path(folder))
                    if name.endswith(".tar.gz")
                    else {arrived.name: arrived}
                )
                for target, expected in wanted.items():
                    part = parts.get(target.name, Path(folder) / target.name)
                    content = _read(part, expected)
                    if isinstance(content, Fault):
                        raise ValueError(
                            f"{download.url} does not hold the expected {target.name}: found {content.found}, expected {expected}."
                        )
                for target in wanted:
                    with replacing(target) as temporary:
                        os.replace(parts[target.name], temporary)
                    written.append(target)
        on_download()
    return written


def _unpack(archive: Path, folder: Path) -> dict[str, Path]:
    """The plain files of an archive by their last name, written flat into `folder`."""
    parts: dict[str, Path] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                name = PurePosixPath(member.name).name
                parts[name] = folder / f"part-{len(parts)}"
                parts[name].write_bytes(content.read())
    return parts
