"""How long the explorer takes to redraw in Chromium: `python -m benchmarks.explorer`.

Every slider is moved by keyboard, from the settings of Figure 1: two trainings of 30,000 steps a
move. Measured is the time from the new value to the new picture (script only, without the paint).
The first picture, before the browser has compiled the loop, is measured apart.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from rich.console import Console

from benchmarks.bench import machine, spread
from mimo_sim import explorer
from mimo_sim._files import replacing

SLIDERS = ("contrast", "explained", "rho", "lam", "mu", "eta", "scale")


def frame_times(moves: int) -> tuple[str, float, list[float]]:
    """The version of the browser, and milliseconds: the first picture, and one for each move."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        explorer.write(path)
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(path.as_uri())
        page.wait_for_timeout(1000)
        first = float(page.evaluate("page.frames.splice(0)[0]"))
        for slider in SLIDERS:
            page.locator(f"#{slider}").focus()
            for move in range(moves):
                page.keyboard.press("ArrowLeft" if move % 4 == 3 else "ArrowRight")
                page.wait_for_timeout(30)
        times = [float(each) for each in page.evaluate("page.frames")]
        version = browser.version
        browser.close()
    return version, first, times


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explorer", description=__doc__)
    parser.add_argument("--moves", type=int, default=25, help="moves of every slider")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/explorer.json"))
    arguments = parser.parse_args()
    version, first, times = frame_times(arguments.moves)
    results: dict[str, Any] = {
        "command": f"python -m benchmarks.explorer --moves {arguments.moves}",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine() | {"load_average": os.getloadavg()},
        "chromium": version,
        "steps": 30_000,
        "redraws": len(times),
        "first_ms": first,
        "redraw_ms": spread(times) | {"95%": sorted(times)[int(0.95 * len(times))]},
    }
    with replacing(arguments.out) as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n")
    Console().print(
        f"{len(times)} redraws of 2 x 30,000 steps in Chromium {version}: median "
        f"{results['redraw_ms']['median']:.1f} ms, 95 % within {results['redraw_ms']['95%']:.1f} ms"
        f", slowest {max(times):.1f} ms; the first {first:.0f} ms\nwrote {arguments.out}"
    )


if __name__ == "__main__":
    main()
