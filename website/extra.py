"""Pages that stand by themselves, each in one file: the explorer and the slides.

The site shows each in a frame, and leads to it.
"""

from __future__ import annotations

from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parent.parent
SLIDES = "notebooks/slides.ipynb"
FILES = ("explorer.html", "deck.html", "card.png")  # all that lies in the folder
FRAMED = Template(
    """# $title

$text

<iframe class="whole" src="$file" title="$label"></iframe>
"""
)
EXPLORER = """Move a slider: two networks train again in your browser, by joint training and by
MIMO. Dotted lines are what formulas predict. Tick *Predict first* to guess before you look.

<a href="explorer.html">Open the explorer on a page of its own</a>. It is one file that needs no
network: save it, mail it, put it on a web server. `mimo-sim explore` writes the same file."""
CLASS = """Slides for a class of ninety minutes. Space goes on, S opens notes for the speaker, Esc
shows all slides.

<a href="deck.html">Open the slides on a page of their own</a>. They are one file that needs no
network. `make slides` writes the same file."""
INVITATION = """[Move the sliders yourself](explore.md): both trainings run in your browser, beside
what formulas predict.

"""


def pages() -> dict[str, str]:
    """Path on the site -> Markdown of the pages with frames."""
    label = "Explorer: two networks that train while you move sliders"
    explorer = FRAMED.substitute(title="Explorer", text=EXPLORER, file="explorer.html", label=label)
    slides = FRAMED.substitute(
        title="Slides", text=CLASS, file="deck.html", label="Slides of the class"
    )
    return {"explore.md": explorer} | ({"slides.md": slides} if (ROOT / SLIDES).exists() else {})


def invited(start: str) -> str:
    """The start page with a link to the explorer, before its first section."""
    head, mark, rest = start.partition("## ")
    return head + INVITATION + mark + rest


def write(folder: Path) -> None:
    """Write the explorer, and the slides where they or the package changed."""
    from mimo_sim import explorer

    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in FILES:
            path.unlink()
    explorer.write(folder / "explorer.html")
    source, slides = ROOT / SLIDES, folder / "deck.html"
    if not source.exists():
        return
    made_from = [source, *(ROOT / "mimo_sim").rglob("*.py")]
    newest = max(path.stat().st_mtime for path in made_from)
    if not slides.exists() or slides.stat().st_mtime < newest:
        from mimo_sim.course.slides import write as write_slides

        write_slides(source, slides)
