"""Commands that only read do not wait for torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from mimo_sim.cli import main
sys.argv = ["mimo-sim", "bench", *{words}]
try:
    main()
except SystemExit as stopped:
    assert not stopped.code
print("torch" in sys.modules)
"""


@pytest.mark.parametrize("words", ["list", "compare {results} --out {out}", "pack {results}"])
def test_neither_list_nor_compare_nor_pack_imports_torch(
    words: str, results: Path, tmp_path: Path
) -> None:
    given = words.format(results=results, out=tmp_path / "out").split()
    code = CODE.format(words=repr(given))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    *shown, last = done.stdout.splitlines()
    assert last == "False"
    assert shown
