"""The lowest versions that pyproject.toml allows, as a constraints file on stdout."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def pins() -> list[str]:
    """One pin per dependency of the core."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [need.replace(">=", "==") for need in project["dependencies"]]


if __name__ == "__main__":
    sys.stdout.write("\n".join(pins()) + "\n")
