"""Every block of the how-to pages runs, or at least is what the command line understands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.website.blocks import HOW_TO, PAGES, ROOT, blocks, commands, parsed, run

# What a page must have printed. Each of its Python blocks runs, those of one page as one program.
PRINTED = {
    "README": r"m2 explains most\n(.*\n)*\[2622\. 2577\.\]",
    "cluster": r"'sigma_ratio': 3, 'rho': 3, 'method': 2, 'seed': 3",
    "figure1": r"vanilla: .* ratio 2\.3\d\nmimo: .* ratio 1\.0\d",
    "gradient_accumulation": r"'sigma",
    "hugging_face": r"'sigma",
    "lightning": r"'sigma.*\nTrue",
    "mixed_precision": r"torch\.float32 0\.",
    "own_data": r"\('cat', 'cow', 'dog'\) 180 60 60\n0\.\d+\n(.*\n)*.*unimodal",
    "own_encoders": r"0\.\d+\n.*'transformer'",
    "own_loop": r"'sigma.*\naccuracy: 0\.[789]",
    "own_method": r"0\.\d+",
    "several_gpus": r"'sigma",
}
APART = ("hugging_face", "lightning")  # packages with warnings of their own
NEEDS = {"hugging_face": "accelerate", "lightning": "pytorch_lightning"}
SLOW = (*APART, "cluster", "own_data", "own_encoders", "several_gpus")
START = ROOT / "docs" / "README.md"
WITH_PYTHON = [START, *(page for page in HOW_TO if blocks(page, "python"))]


def page_of(path: Path) -> object:
    return pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stem in SLOW else ())


def test_every_page_with_python_says_what_it_must_print() -> None:
    assert {page.stem for page in WITH_PYTHON} == set(PRINTED)


@pytest.mark.parametrize("page", [page_of(page) for page in WITH_PYTHON])
def test_the_python_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    pytest.importorskip(NEEDS.get(page.stem, "torch"))
    if page.stem in (*APART, "several_gpus"):
        file = tmp_path / "program.py"
        file.write_text("\n".join(blocks(page, "python")))
        two = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
        command = [sys.executable, *(two if page.stem == "several_gpus" else ()), str(file)]
        paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            command, env=os.environ | paths, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        printed = done.stdout
    else:
        run(page)
        printed = capsys.readouterr().out
    assert re.search(PRINTED[page.stem], printed), printed


COMMANDS = {f"{page.stem}: {line}": line for page in PAGES for line in commands(page)}


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 20


@pytest.mark.parametrize("line", COMMANDS.values(), ids=COMMANDS)
def test_the_command_line_understands_every_command(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # what a reader of the pages has by then
    (tmp_path / "results" / "array").mkdir(parents=True)
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    assert parsed(line).command.name


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mimo-sim bench run --methods mimo", "No such option"),
        ("mimo-sim bench rum", "No such command"),
        ("mimo-sim bench run --seeds x", "valid integer"),
    ],
)
def test_a_wrong_command_is_noticed(line: str, words: str) -> None:
    with pytest.raises(Exception, match=words):
        parsed(line)


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_every_block_says_its_language(page: Path) -> None:
    fences = re.findall(r"^```(\w*)$", page.read_text("utf-8"), re.MULTILINE)
    assert all(fences[::2]), "a block says no language"
    assert set(fences[::2]) <= {"python", "sh", "bash", "toml"}
