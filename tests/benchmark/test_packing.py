"""The runs of a data set in one file: nothing is lost, nothing is trusted."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mimo_sim import benchmark
from mimo_sim.benchmark import packed, provenance, tables
from mimo_sim.benchmark.packed import Contents
from tests.benchmark.runs import command

Capture = pytest.CaptureFixture[str]
STORED = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def file(results: Path, tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv.gz"
    assert benchmark.pack(results, path) == 9
    return path


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_runs_come_back_byte_for_byte_and_equal_runs_make_equal_files(
    results: Path, file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    written, kept = benchmark.unpack(file, out)
    assert (len(written), kept) == (9, [])
    assert files_below(out) == files_below(results)
    again = tmp_path / "again.csv.gz"
    benchmark.pack(out, again)
    assert again.read_bytes() == file.read_bytes()
    benchmark.pack(file, again)  # a packed file is packed as a folder is
    assert again.read_bytes() == file.read_bytes()
    assert file.read_bytes()[3:10] == bytes([0, 0, 0, 0, 0, 2, 255])  # no name, time or system


def test_the_file_is_a_table_with_one_row_per_number(results: Path, file: Path) -> None:
    with gzip.open(file, "rt", newline="") as text:
        rows = list(csv.DictReader(text))
    (accuracy,) = [
        row["value"]
        for row in rows
        if (row["method"], row["seed"], row["file"]) == ("mimo", "1", "result.json")
        and row["name"] == "metrics/test/accuracy"
    ]
    run = next(run for run in benchmark.read(results) if (run.method, run.seed) == ("mimo", 1))
    assert float(accuracy) == run.metrics()["accuracy"]
    losses = [
        float(row["value"])
        for row in rows
        if (row["method"], row["seed"], row["name"]) == ("mimo", "1", "train_loss")
    ]
    assert losses == run.table()["train_loss"]


def test_every_kind_of_entry_survives(tmp_path: Path) -> None:
    tree = {
        "a/b~c": {"~1": 1e-300, "": [1, {"x": None}]},
        "empty": {},
        "text": 'two\nlines, "quoted", 5x5 é',
        "none": None,
        "yes": True,
        "big": 12345678901234567890,
    }
    one = Contents("d", "m-x=[0,50]", 3, tree, [{"epoch": "0", "a": ""}, {"a": "0.1"}], tree)
    packed.save([one], tmp_path / "x.csv.gz")
    (found,) = packed.load(tmp_path / "x.csv.gz").runs
    assert found == one
    assert list(found.config) == list(tree)


def test_compare_says_the_same_of_a_file_and_of_its_folder(
    results: Path,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    said = []
    for place, out in ((results, tmp_path / "a"), (file, tmp_path / "b")):
        assert command(monkeypatch, "compare", place, "--out", out) == 0
        said.append(capsys.readouterr().out.replace(str(out), ""))
    assert said[0] == said[1]
    assert files_below(tmp_path / "a") == files_below(tmp_path / "b")


def test_runs_that_are_there_stay_and_some_can_be_left_out(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    out = tmp_path / "out"
    begun, finished = out / "digits" / "mimo" / "seed0", out / "digits" / "mimo" / "seed1"
    for place, name in ((begun, "checkpoint.pt"), (finished, "result.json")):
        place.mkdir(parents=True)
        (place / name).write_text("mine")
    assert command(monkeypatch, "unpack --without mmcosine", file, "--out", out) == 0
    assert "unpacked 4 runs into" in capsys.readouterr().out
    assert [path.name for path in begun.iterdir()] == ["checkpoint.pt"]
    assert (finished / "result.json").read_text() == "mine"
    assert {path.name for path in (out / "digits").iterdir()} == {"mimo", "vanilla"}
    assert command(monkeypatch, "unpack --without digits/mimo", file, "--out", out / "2") == 0
    assert {path.name for path in (out / "2" / "digits").iterdir()} == {"vanilla", "mmcosine"}
    assert command(monkeypatch, "unpack --without mmcosin", file, "--out", out / "3") == 2
    said = capsys.readouterr().err
    assert "`without` must name runs of" in said
    assert "mmcosine" in said
    assert not (out / "3").exists()


def test_new_runs_copied_over_unpacked_ones_take_their_place(file: Path, tmp_path: Path) -> None:
    out, new = tmp_path / "out", tmp_path / "new"
    benchmark.unpack(file, out)
    benchmark.unpack(file, new, ["vanilla", "mmcosine"])
    for path in new.rglob("result.json"):
        content = json.loads(path.read_text())
        content["metrics"]["test"]["accuracy"] = 0.125
        path.write_text(json.dumps(content))
    shutil.copytree(new, out, dirs_exist_ok=True)
    assert benchmark.pack(out, file) == 9
    accuracies = {run.method: run.metrics()["accuracy"] for run in benchmark.read(file)}
    assert accuracies["mimo"] == 0.125 != accuracies["vanilla"]


def edited(change: Callable[[str], str]) -> Callable[[bytes], bytes]:
    return lambda old: gzip.compress(change(gzip.decompress(old).decode()).encode())


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda old: b"",
    "cut": lambda old: old[: len(old) // 2],
    "a bit": lambda old: old[:300] + bytes([old[300] ^ 1]) + old[301:],
    "not compressed": gzip.decompress,
    "not text": lambda old: gzip.compress(b"\xff\xfe"),
    "another table": edited(lambda text: text.replace("epoch", "when", 1)),
    "no runs": edited(lambda text: text.splitlines()[0] + "\n"),
    "a short row": edited(lambda text: text + "digits,mimo,0\n"),
    "an entry twice": edited(lambda text: text + text.splitlines()[-1] + "\n"),
    "not JSON": edited(lambda text: text + "digits,mimo,0,result.json,,x,{bad\n"),
    "too deep": edited(lambda text: text + f"digits,mimo,0,result.json,,x,{'[' * 100_000}\n"),
    "inside of a value": edited(lambda text: text + "digits,mimo,0,result.json,,seconds/x,1\n"),
    "an epoch too far": edited(lambda text: text + "digits,mimo,0,epochs.csv,9,x,1\n"),
    "an epoch before the first": edited(
        lambda text: text.replace("epochs.csv,0,", "epochs.csv,-1,", 1)
    ),
    "a trial before the first": edited(lambda text: text + "digits,mimo-tuned,,trials,-1,x,1\n"),
    "no trials": edited(lambda text: text + "digits,mimo-tuned,,trials,0,x,1\n"),
    "deep names": edited(lambda text: text + f"digits,mimo,0,result.json,,x{'/x' * 9999},1\n"),
    "another file": edited(lambda text: text + "digits,mimo,0,checkpoint.pt,,x,1\n"),
    "half a run": edited(lambda text: text + "digits,mimo,9,config.json,,x,1\n"),
    "a way out": edited(lambda text: text.replace("digits,mimo,", "digits,../../mimo,")),
    "a hidden folder": edited(lambda text: text.replace("digits,mimo,", "..,mimo,")),
    "no seed": edited(lambda text: text.replace("digits,mimo,0,", "digits,mimo,../0,")),
    "no metrics": edited(lambda text: text.replace("metrics/", "figures/")),
    "no origin": edited(lambda text: text.replace("origin/clean", "origin/tidy")),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_is_refused_by_name(
    how: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    file.write_bytes(DAMAGE[how](file.read_bytes()))
    assert command(monkeypatch, "compare", file, "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "runs.csv.gz" in said
    assert "is damaged" in said
    assert not (tmp_path / "out").exists()
    if how not in ("no metrics", "no origin"):
        with pytest.raises(ValueError, match="is damaged"):
            benchmark.unpack(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_small_file_does_not_fill_the_memory(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert len(packed.load(file).runs) == 9
    monkeypatch.setattr(packed, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="its text is longer than 1,000 characters"):
        benchmark.unpack(file, tmp_path / "out")


def test_what_cannot_be_packed_is_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`out` must end in \.csv\.gz\. Got '.*runs\.csv'"):
        benchmark.pack(results, tmp_path / "runs.csv")
    with pytest.raises(ValueError, match="no finished run"):
        benchmark.pack(tmp_path, tmp_path / "runs.csv.gz")
    benchmark.pack(results, tmp_path / "runs.csv.gz")
    with pytest.raises(ValueError, match=r"It holds packed runs: name the file, runs\.csv\.gz"):
        benchmark.read(tmp_path)


def test_the_stored_runs_are_what_the_text_says() -> None:
    said = " ".join((STORED.parent / "docs" / "real_data.md").read_text().split())
    runs = {
        name: benchmark.read(STORED / name / "avmnist.csv.gz")
        for name in ("records", "replication", "sensitivity")
    }
    first, *others = runs.values()
    counts = (
        f"{len(first)} runs in `benchmarks/records/avmnist.csv.gz`, {len(others[0])} in "
        f"`replication` and {len(others[1])} in `sensitivity`"
    )
    assert counts in said
    doubtful = provenance.doubtful_rows(first)
    rows = {(run.dataset, run.method) for run in first}
    dirty = sum(run.origin.clean is False for run in first)
    if doubtful:
        assert f"{len(doubtful)} of the {len(rows)} rows of the first mix seeds" in said
        assert f"among them {dirty} runs from a tree with uncommitted changes" in said
    else:
        assert "mix seeds" not in said
    for found in others:
        benchmark.refuse_doubtful(found)


@pytest.mark.parametrize("name", ["records", "replication", "sensitivity"])
def test_the_stored_tables_are_those_of_the_stored_runs(name: str) -> None:
    runs = benchmark.read(STORED / name / "avmnist.csv.gz")
    baseline = "linear_scalarization" if name == "replication" else "vanilla"
    table = tables.comma_separated(benchmark.summary(runs, baseline))
    assert table == (STORED / name / "table.csv").read_text()
