"""What a package index shows: the address of the clone, and links that work outside it."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT

SETUP = runpy.run_path(str(ROOT / "setup.py"), run_name="setup")


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://git.example/team/mimo_sim.git\n", "https://git.example/team/mimo_sim"),
        ("https://me:secret@git.example/team/mimo_sim", "https://git.example/team/mimo_sim"),
        ("git@git.example:team/mimo_sim.git", "https://git.example/team/mimo_sim"),
        ("ssh://git@git.example/team/mimo_sim.git", "https://git.example/team/mimo_sim"),
        ("/home/me/mimo_sim", None),
        ("", None),
    ],
)
def test_the_address_is_that_of_the_clone(remote: str, page: str | None) -> None:
    assert SETUP["address"](remote) == page


def test_every_link_of_the_readme_becomes_absolute() -> None:
    readme = (ROOT / "README.md").read_text()
    page = "https://git.example/team/mimo_sim"
    text = SETUP["absolute"](readme, page)
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert all(target.startswith("https://") for target in targets)
    assert f"({page}/raw/HEAD/figures/figure1.png)" in text
    relative = re.findall(r"\]\((?!https?:|#)([^)]+)\)", readme)
    assert relative, "README has relative links"
    for target in relative:  # the page leads to a file that is there
        assert (ROOT / target.split("#")[0]).exists(), target


def test_without_an_address_nothing_is_made_up() -> None:
    readme = (ROOT / "README.md").read_text()
    assert SETUP["absolute"](readme, None) == readme
    assert SETUP["urls"](None).keys() == {"Paper"}


def test_the_citation_leads_to_an_address_of_the_package() -> None:
    """The paper's, which every clone knows; a fork with a page of its own may name that one."""
    cited = re.findall(
        r'^(?:url|repository-code): "(.+)"$', (ROOT / "CITATION.cff").read_text(), re.M
    )
    pages = {*SETUP["urls"](None).values(), SETUP["address"](SETUP["origin"]())}
    assert cited
    assert set(cited) <= pages


def test_a_name_of_the_toy_loads_neither_xarray_nor_dask_nor_numba() -> None:
    code = (
        "import sys, mimo_sim as ms; ms.simulate; "
        "print([m for m in ('xarray', 'dask', 'pandas', 'numba', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_help_is_shown_without_numpy() -> None:
    """NumPy takes as long to import as all else that the list of commands needs."""
    command = [sys.executable, "-X", "importtime", "-m", "mimo_sim", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "figure1" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert not {"numpy", "scipy", "torch", "xarray"} & loaded


def test_a_folder_of_the_same_name_does_not_hide_the_package(tmp_path: Path) -> None:
    """Such as the clone, where Python runs in its parent."""
    (tmp_path / "mimo_sim").mkdir()
    code = "import mimo_sim; print(mimo_sim.generators.superficial_preference())"
    outside = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=outside, capture_output=True, text=True
    )
    assert "LateFusionProblem" in done.stdout, done.stderr
