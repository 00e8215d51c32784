"""Anyone's arrays to a table: in five lines, from an .npz file, with parts of other packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import mimo_sim as ms
from mimo_sim.cli import app
from tests.networks import SETTINGS, tiny

ROOT = Path(__file__).resolve().parents[2]


class MyEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(1, 4, 5, 2), nn.ReLU(), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)  # type: ignore[no-any-return]


def test_the_five_lines_of_readme_and_document() -> None:
    text = (ROOT / "docs/real_data.md").read_text()
    section = text.split("## Your own data\n")[1].split("\n## ")[0]
    whole, lines = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    exec(whole, {})
    assert len(lines.splitlines()) == 5
    assert lines in (ROOT / "README.md").read_text()
    rng = np.random.default_rng(0)
    number = rng.integers(3, size=240)
    given: dict[str, Any] = {
        "sound": [rng.normal(n, 1, (rng.integers(3, 8), 13)) for n in number],
        "face": rng.normal(size=(240, 1, 16, 16)) + number[:, None, None, None],
        "notes": torch.from_numpy(rng.normal(size=(240, 5))),
        "y": np.array(["calm", "glad", "sad"])[number],
        "person": [f"person {row % 30}" for row in range(240)],
    }
    names = given | {"ms": ms, "nn": nn, "MyEncoder": MyEncoder}
    exec(lines, names)
    table = names["table"]
    rows = {(row.method, row.metric): row for row in table.rows}
    assert {row.method for row in table.rows} == {"vanilla", "mimo", "unimodal"}
    assert rows["vanilla", "accuracy"].n == 3
    assert rows["vanilla", "accuracy"].mean > 0.8
    assert rows["mimo", "accuracy"].pairs == 3
    assert rows["vanilla", "probe/notes"].mean < 0.6  # noise
    assert rows["vanilla", "probe/sound"].mean > 0.8
    assert str(table).startswith("## own: test split, in %, mean ± 95 % interval over seeds\n")
    assert table._repr_markdown_() == str(table)
    assert "lambda" in table.runs[0].result["config"]["encoders"]["notes"]


def test_a_comparison_trains_as_train_does() -> None:
    method = ms.methods.create("mimo", lam=3.0)
    table = ms.benchmark.compare(
        lambda seed: tiny(seed=seed), ["vanilla", method], [4, 7], epochs=2, **SETTINGS
    )
    assert [(run.method, run.seed) for run in table.runs] == [
        *(("vanilla", 4), ("mimo-lam=3.0", 4)),
        *(("vanilla", 7), ("mimo-lam=3.0", 7)),
    ]
    alone = ms.training.train(method, tiny(seed=7), epochs=2, seed=7, **SETTINGS)
    assert table.runs[3].result["metrics"] == alone.metrics


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("vanilla", 1), "`methods` must be a sequence of methods. Got methods='vanilla'"),
        (([3], 1), "`methods` must be names or objects of mimo_sim.methods. Got 3"),
        ((["mimo", "mimo"], 1), "`methods` must differ. Got 'mimo' twice"),
        ((["mimo"], []), "`seeds` must name at least one seed, each once"),
        ((["mimo"], 0), "`seeds` must be >= 1"),
        ((["mimo"], 2.5), "`seeds` must be an integer"),
        (
            (["mimo"], [0, 0]),
            r"`seeds` must name at least one seed, each once\. Got seeds=\[0, 0\]",
        ),
        (
            (["mimo"], 1, {"baseline": "mimoo"}),
            r"`baseline` must be one of \('mimo',\)\. Got 'mimoo'",
        ),
        ((["mimo"], 1, {"split": "tset"}), "`split` must be one of"),
    ],
)
def test_bad_comparisons_are_refused(
    given: tuple[Any, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("mimo_sim.benchmark.in_memory.train")  # before anything is trained
    methods, seeds, *more = given
    with pytest.raises((ValueError, TypeError), match=words):
        ms.benchmark.compare(tiny(), methods, seeds, epochs=1, **(more[0] if more else {}))


# ----------------------------------------------------------------------------------- from a file


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    number = rng.integers(2, size=120)
    return {
        "a": rng.normal(number[:, None, None], 1, (120, 5, 2)),
        "b": rng.normal(number[:, None], 1, (120, 4)),
        "y": np.array(["no", "yes"])[number],
        "groups": np.arange(120) // 4,
    }


def test_a_file_is_a_data_set_of_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays())  # type: ignore[arg-type]
    data = ms.datasets.load(str(path), seed=3)
    given = arrays()
    expected = ms.datasets.from_arrays(
        {"a": given["a"], "b": given["b"]}, given["y"], groups=given["groups"], seed=3
    )
    assert data.name == "mine"
    assert data.checksum() == expected.checksum()
    out = tmp_path / "results"
    words = ["bench", "run", "--dataset", str(path), "--method", "vanilla", "--method", "mimo"]
    words += ["--epochs", "2", "--encoder", "a=gru", "--jobs", "1", "--out", str(out)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "mine: test split" in done.stdout
    config = ms.training.records.read_json(out / "mine/mimo/seed0/config.json")
    assert config["settings"]["encoder"] == "a=gru"
    assert "2 were there already" in CliRunner().invoke(app, words).stdout
    np.savez(path, **(given | {"b": given["b"] + 1}))  # type: ignore[arg-type]
    refused = CliRunner().invoke(app, words)
    assert "holds a run with --data file=" in str(refused.exception)
    wrong = CliRunner().invoke(app, [*words, "--encoder", "c=gru"])
    assert "`encoder` must be one of ('a', 'b'). Got encoder='c'" in str(wrong.exception)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (None, FileNotFoundError, "must be a name or an .npz file that is there"),
        (b"no archive", ValueError, "must be an .npz file of plain arrays"),
        ({"a": np.zeros((4, 1))}, ValueError, r"must hold the target 'y' .* Got \['a'\]"),
        ({"y": np.zeros(4)}, ValueError, r"one array for each modality.* Got \['y'\]"),
        (
            {"a": np.zeros((4, 1)), "y": np.array([None, 1, 2, 3])},
            ValueError,
            "must be an .npz file of plain arrays.*allow_pickle=False",
        ),
        (
            {"a": np.full((40, 1), np.nan), "y": np.arange(40) % 2},
            ValueError,
            r"`inputs\['a'\]` must be finite",
        ),
    ],
)
def test_files_of_another_kind_are_refused(
    tmp_path: Path, content: Any, error: type[Exception], words: str
) -> None:
    path = tmp_path / "mine.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.savez(path, **content)
    with pytest.raises(error, match=words):
        ms.datasets.load(str(path))


# ------------------------------------------------------------------------- from another package

MODULES = {
    "coins": (
        "datasets",
        "from mimo_sim.datasets import Record, from_arrays\n"
        "import numpy as np\n"
        "def build(root=None, seed=0):\n"
        "    rng = np.random.default_rng(seed)\n"
        "    y = rng.integers(2, size=200)\n"
        "    views = {name: rng.normal(y[:, None], 1, (200, 3)) for name in ('near', 'far')}\n"
        "    return from_arrays(views, y, name='coins', seed=seed)\n"
        "RECORD = Record(name='coins', about='coins', modalities={'near': (3,), 'far': (3,)},\n"
        "    classes=('0', '1'), build=build, licence='none', home='https://example.org')\n",
    ),
    "halves": (
        "methods",
        "from mimo_sim.methods import Method\n"
        "class Halves(Method):\n"
        "    name, family, about, uses_heads = 'halves', 'objective', 'half and half', True\n"
        "    def objective(self, run, out):\n"
        "        return (out.loss + out.head_losses.mean()) / 2\n",
    ),
    "cubes": (
        "encoders",
        "from mimo_sim.networks.encoders import Encoder\n"
        "from torch import nn\n"
        "class Cubes(Encoder):\n"
        "    name = 'cubes'\n"
        "    def __init__(self, shape, width):\n"
        "        super().__init__(nn.Linear(*shape, width), width)\n",
    ),
}


@pytest.mark.slow
def test_another_package_adds_a_data_set_a_method_and_an_encoder(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "other_lab").mkdir(parents=True)
    (site / "other_lab/__init__.py").write_text("")
    (site / "other_lab-1.0.dist-info").mkdir()
    (site / "other_lab-1.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: other-lab\nVersion: 1.0\n"
    )
    points = ""
    for name, (group, source) in MODULES.items():
        (site / f"other_lab/{name}.py").write_text(source)
        points += f"[mimo_sim.{group}]\n{name} = other_lab.{name}\n"
    (site / "other_lab-1.0.dist-info/entry_points.txt").write_text(points)
    command = "bench run --dataset coins --method halves --encoder near=cubes --epochs 3 --jobs 1"
    path = os.pathsep.join([str(site), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "mimo_sim", *command.split(), "--out", str(tmp_path / "results")],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^halves +1 +[6-9]\d\.\d", done.stdout, re.MULTILINE), done.stdout
