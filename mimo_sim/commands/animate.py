"""The race of Figure 1 as an animation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mimo_sim._progress import on_terminal, progress_bar
from mimo_sim.commands import app
from mimo_sim.commands._options import Lam, Mu, Quiet, TinyScale
from mimo_sim.commands._output import say_written


@app.command()
def animate(
    out: Annotated[Path, typer.Option(help="Animated PNG to write.", dir_okay=False)] = Path(
        "figures/race.png"
    ),
    lam: Lam = 10.0,
    mu: Mu = 0.01,
    init_scale: TinyScale = 1e-9,
    frames: Annotated[int, typer.Option(help="Number of pictures, >= 2.")] = 60,
    seconds: Annotated[float, typer.Option(help="Time that they take, > 0.")] = 6.0,
    pause: Annotated[float, typer.Option(help="Seconds on the last picture, >= 0.")] = 3.0,
    loops: Annotated[int, typer.Option(help="How often it plays; 0: for ever.")] = 3,
    quiet: Quiet = False,
) -> None:
    """Draw the race of Figure 1, joint training against MIMO, as an animation.

    Both panels show the same step at the same time. It ends on its last picture.
    """
    from mimo_sim import generators, plots, studies
    from mimo_sim._files import replacing

    if out.suffix.lower() != ".png":
        raise ValueError(f"`--out` must end in .png. Got {str(out)!r}.")
    with progress_bar(2, on_terminal(quiet), "training") as advance:
        data = studies.figure1.compute(
            generators.superficial_preference(names=("A", "B")),
            lam=lam,
            mu=mu,
            seeds=1,
            init_scale=init_scale,
            on_run=advance,
        )
    pictures = plots.draw_race_frames(data, frames)
    with replacing(out) as temporary:
        plots.write_animation(pictures, temporary, seconds=seconds, pause=pause, loops=loops)
    if not quiet:
        say_written([out])
