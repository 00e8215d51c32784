"""The explorer inside the site: a page with the explorer in a frame, and the explorer itself."""

from __future__ import annotations

PAGE = """# Explorer

Move a slider: two networks train again in your browser, by joint training and by MIMO. Dotted lines are what formulas predict.
Tick *Predict first* to guess before you look.

<a href="explorer.html">Open the explorer on a page of its own</a>. It is one file that needs no network: save it, mail it, put it
on a web server. `mimo-sim explore` writes the same file.

<iframe class="explorer" src="explorer.html" title="Explorer: two networks that train while you move sliders"></iframe>
"""


INVITATION = """[Move the sliders yourself](explore.md): both trainings run in your browser, beside what formulas predict.

"""


def invited(start: str) -> str:
    """The start page with a link to the explorer, before its first section."""
    head, mark, rest = start.partition("## ")
    return head + INVITATION + mark + rest


def pages() -> dict[str, str]:
    """The page with the frame; `python -m website` writes the explorer beside it."""
    return {"explore.md": PAGE}
