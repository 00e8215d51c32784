"""The page: one file with everything in it, put together from the files of this room."""

from __future__ import annotations

from pathlib import Path

from mimo_sim._files import replacing
from mimo_sim.explorer._engine import engine_source

HERE = Path(__file__).parent
SCRIPTS = ("model", "theory", "settings", "words", "charts", "page", "controls")  # in this order


def script(*names: str) -> str:
    """The generated engine, and after it these files of :data:`SCRIPTS`."""
    files = [(HERE / f"{name}.js").read_text(encoding="utf-8") for name in names]
    return "\n".join(['"use strict";', engine_source(), *files])


def page() -> str:
    """The explorer as one HTML document, which needs no server and no network.

    Two trainings of the toy, joint training and MIMO, are computed in the browser by the package's
    exact step, and drawn beside what theory predicts.
    """
    from mimo_sim import __version__

    html = (HERE / "page.html").read_text(encoding="utf-8")
    parts = {
        "/* STYLE */": (HERE / "page.css").read_text(encoding="utf-8"),
        "/* SCRIPT */": script(*SCRIPTS),
        "VERSION": __version__,
    }
    for place, text in parts.items():
        html = html.replace(place, text, 1)
    return html


def write(path: str | Path) -> None:
    """Write :func:`page` to a file. It appears whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(page(), encoding="utf-8")
