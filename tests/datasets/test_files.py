"""Raw files: missing or harmed ones are named and fetched; the commands about them."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mimo_sim import datasets
from mimo_sim.cli import app
from mimo_sim.datasets import _files as files
from mimo_sim.datasets import avmnist
from mimo_sim.datasets._avmnist_raw import Raw, parse_idx
from tests.datasets._files import TINY, know, put, raw_files, sums, wav


def harm(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(content[:-20])
    elif how == "no gzip":
        path.write_bytes(b"<html>" + content)
    else:
        other = (
            gzip.compress(gzip.decompress(content)[:-1] + b"!")
            if path.suffix == ".gz"
            else content[:-1] + bytes([content[-1] ^ 1])
        )
        path.write_bytes(other)


@pytest.mark.parametrize(
    ("name", "how", "words"),
    [
        ("mnist/train-images-idx3-ubyte.gz", "missing", "is missing"),
        ("mnist/train-images-idx3-ubyte.gz", "truncated", "no valid gzip stream"),
        ("mnist/t10k-labels-idx1-ubyte.gz", "no gzip", "no valid gzip stream"),
        ("mnist/t10k-labels-idx1-ubyte.gz", "changed", "its content has md5:"),
        ("fsdd/recordings/3_anna_10.wav", "missing", "is missing"),
        ("fsdd/recordings/3_anna_10.wav", "changed", "its content has sha256:"),
    ],
)
def test_a_harmed_file_is_named_with_both_sums_and_the_remedy(
    root: Path, name: str, how: str, words: str
) -> None:
    expected = avmnist.RECORD.downloads[0].files[name]
    harm(root / name, how)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        datasets.load("avmnist", root, **TINY)
    for part in (
        str(root / name),
        words,
        f"expected {expected}",
        f"mimo-sim data prepare avmnist --root {root}",
    ):
        assert part in str(caught.value)
    (fault,) = files.faults(root, avmnist.RECORD.downloads)
    assert fault.path == root / name
    done = CliRunner().invoke(app, ["data", "verify", "avmnist", "--root", str(root)])
    assert done.exit_code == 1
    assert "1 of 54 raw files of avmnist are missing or damaged" in done.stderr


def test_a_recompressed_file_is_the_same_file(root: Path) -> None:
    path = root / "mnist/train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1))
    assert not files.faults(root, avmnist.RECORD.downloads)


def test_files_in_another_format_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError, match=r"must be an idx file of unsigned bytes .* starts 00 00 0d"
    ):
        parse_idx(bytes([0, 0, 13, 1]), "x.gz")
    with pytest.raises(ValueError, match=r"x.gz must hold 5 values for its shape \(5,\). Got 2"):
        parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 5, 1, 2]), "x.gz")
    odd = {"fsdd/recordings/0_anna_0.wav": wav(np.zeros(900, np.int16), 16000)}
    put(root, odd)
    know(monkeypatch, files.Download("", sums(odd), 1))
    with pytest.raises(ValueError, match=r"0_anna_0.wav must be mono at 8000 Hz"):
        Raw(root, avmnist.RECORD.downloads).speech(avmnist.TAKES["test"])


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_fetch_gets_what_is_missing_or_harmed_and_leaves_the_rest(
    root: Path, server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = server
    contents = raw_files()
    images = "mnist/train-images-idx3-ubyte.gz"
    (folder / Path(images).name).write_bytes(contents[images])
    speech = {name: content for name, content in contents.items() if name.endswith(".wav")}
    with tarfile.open(folder / "speech.tar.gz", "w:gz") as tar:
        for name, content in speech.items():
            member = tarfile.TarInfo(f"project-abc/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    downloads = (
        files.Download(f"{url}/{Path(images).name}", sums({images: contents[images]}), 1),
        files.Download(f"{url}/speech.tar.gz", sums(speech), 1),
        files.Download(
            f"{url}/absent",
            sums(
                {
                    name: content
                    for name, content in contents.items()
                    if "label" in name or "t10k" in name
                }
            ),
            1,
        ),
    )
    know(monkeypatch, *downloads)
    harm(root / images, "changed")
    harm(root / "fsdd/recordings/3_anna_10.wav", "missing")
    untouched = os.stat(root / "fsdd/recordings/3_anna_11.wav").st_mtime_ns
    written = files.fetch(root, downloads)
    assert written == [root / images, root / "fsdd/recordings/3_anna_10.wav"]
    assert not files.faults(root, downloads)
    assert os.stat(root / "fsdd/recordings/3_anna_11.wav").st_mtime_ns == untouched
    assert not list(root.glob(".*"))
    assert files.fetch(root, downloads) == []

    harm(root / images, "changed")
    (folder / Path(images).name).write_bytes(contents["mnist/t10k-images-idx3-ubyte.gz"])
    before = (root / images).read_bytes()
    with pytest.raises(
        ValueError, match=r"does not hold the expected train-images-idx3-ubyte.gz: found md5:"
    ):
        files.fetch(root, downloads)
    assert (root / images).read_bytes() == before


def test_without_a_root_the_environment_and_then_the_cache_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIMO_SIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MIMO_SIM_DATA", raising=False)
    assert files.data_folder(None) == (tmp_path / "cache" / "data", True)
    monkeypatch.setenv("MIMO_SIM_DATA", str(tmp_path / "env"))
    assert files.data_folder(None) == (tmp_path / "env", False)
    assert files.data_folder(tmp_path / "given") == (tmp_path / "given", False)


def test_the_known_sums_are_of_every_recording() -> None:
    (speech,) = (
        download for download in avmnist.RECORD.downloads if download.url.endswith(".tar.gz")
    )
    names = [Path(name).stem.split("_") for name in speech.files]
    assert len(names) == 3000
    assert len(set(speech.files.values())) == 3000
    for digit in map(str, range(10)):
        assert sorted(int(take) for d, _, take in names if d == digit) == sorted(
            list(range(50)) * 6
        )


def test_data_commands(root: Path) -> None:
    run = CliRunner().invoke
    listing = run(app, ["data", "list"])
    assert listing.exit_code == 0
    assert all(name in listing.stdout for name in datasets.available())
    shown = [line.split()[1:] for line in listing.stdout.splitlines() if line[2:9] == "classes"]
    assert ["10:", *"0123456789"] in shown
    assert ["6:", "neutral", "happy", "sad", "fear", "disgust", "anger"] in shown
    assert ["51:", *datasets.get("grid").classes[:10], "..."] in shown
    assert any(" ".join(words[1:4]) == "Church bell; Male" for words in shown)
    checked = run(app, ["data", "verify", "digits"])
    assert (checked.exit_code, checked.stdout.strip()) == (0, "digits needs no raw files")
    made = run(app, ["data", "prepare", "digits", "--option", "noise=0.1"])
    assert made.exit_code == 0
    assert "1077" in made.stdout
    whole = run(app, ["data", "verify", "avmnist", "--root", str(root)])
    assert (whole.exit_code, whole.stdout.strip()) == (
        0,
        f"avmnist: all 54 raw files in {root} are as expected",
    )
    sizes = [part for name, size in TINY.items() for part in ("--option", f"{name}={size}")]
    built = run(
        app, ["data", "prepare", "avmnist", "--root", str(root), "--option", "setting=B", *sizes]
    )
    assert built.exit_code == 0
    assert f"all raw files are in {root}" in built.stdout
    assert len(list((root.parent / "cache").glob("*.npz"))) == 1
    wrong = run(app, ["data", "verify", "nothing"])
    assert isinstance(wrong.exception, ValueError)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("setting=Z", "`setting` must be one of ('A', 'B', 'C', 'D'). Got setting='Z'."),
        ("train-size=0", "`train_size` must be >= 1."),
        ("componets=4", "Got componets. Did you mean 'components'?"),
    ],
)
def test_options_are_checked_before_anything_is_downloaded(
    option: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: Any) -> list[Path]:
        raise AssertionError("downloads")

    monkeypatch.setattr(files, "fetch", fetch)
    done = CliRunner().invoke(app, ["data", "prepare", "avmnist", "--option", option])
    assert isinstance(done.exception, ValueError | TypeError)
    assert words in str(done.exception)
