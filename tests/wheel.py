"""Try an installed wheel as somebody who has nothing else.

`make wheel` runs this outside the repository.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

BIN = Path(sys.executable).parent
WANTED = (
    "mimo_sim/py.typed",
    "mimo_sim/__init__.pyi",
    "mimo_sim/datasets/fsdd.sha256",
    "mimo_sim/explorer/page.html",
    "mimo_sim/explorer/page.css",
    "mimo_sim/plots/page.css",
    "mimo_sim/plots/benchmark/page.html",
    "mimo_sim/explorer/page.js",
    "paper_checks/claims/theorem1_rate.py",
)


def main(wheel: str) -> None:
    """Raise or exit unless the wheel holds what it must, and the core works without the extras."""
    names = zipfile.ZipFile(wheel).namelist()
    for name in WANTED:
        assert name in names, f"{name} is not in the wheel"
    metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
    described = zipfile.ZipFile(wheel).read(metadata).decode()
    assert "Project-URL: Paper, https://arxiv.org/abs/2511.06686" in described
    assert "# mimo_sim" in described, "README is not in the wheel's description"
    outside = [name for name in names if not name.startswith(("mimo_sim", "paper_checks"))]
    tests = [name for name in names if "/test_" in name or name.startswith("tests")]
    assert not outside + tests, f"the wheel must not hold {outside + tests}"
    figure1 = [str(BIN / "mimo-sim"), "figure1", "--quiet", "--seeds", "2", "--out", "figures"]
    subprocess.run(figure1, check=True)
    assert Path("figures/figure1.png").is_file()
    code = "import mimo_sim as ms; ms.MIMOLoss"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'mimo_sim[train]'" in done.stderr, done.stderr
    done = subprocess.run(
        [str(BIN / "mimo-sim"), "bench", "run"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 'mimo_sim[train]'" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    subprocess.run([str(BIN / "mimo-sim"), "explore", "--no-open", "--quiet"], check=True)
    assert "function run(" in Path("mimo_explorer.html").read_text(encoding="utf-8")
    print(f"{len(names)} files; Figure 1 and the explorer without torch; missing extras are named")


if __name__ == "__main__":
    main(*sys.argv[1:])
