"""What linear theory predicts for a data set before training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mimo_sim.commands import app
from mimo_sim.commands._options import Seed
from mimo_sim.commands._output import report
from mimo_sim.commands.data import Option, Root, settings


@app.command()
def diagnose(
    dataset: Annotated[str, typer.Option(help="A name of `mimo-sim data list`.")],
    root: Root = None,
    setting: Annotated[str | None, typer.Option(help="Short for --option setting=...")] = None,
    options: Option = None,
    features: Annotated[
        str, typer.Option(help="pca (of each modality's network input) or raw.")
    ] = "pca",
    components: Annotated[
        int, typer.Option(help="Principal components per modality, at most.")
    ] = 50,
    samples: Annotated[int, typer.Option(help="Use so many train samples, at most.")] = 5_000,
    units: Annotated[
        str,
        typer.Option(
            help="modality (each of unit total variance), network (as the network sees them), or feature (each of unit variance)."
        ),
    ] = "modality",
    records: Annotated[
        Path | None,
        typer.Option(help="Folder of `bench run`: compare the prediction with its vanilla runs."),
    ] = None,
    problem_out: Annotated[
        Path | None,
        typer.Option(
            help="Write the linear problem here (.json), for `mimo-sim simulate --problem`."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    seed: Seed = 0,
) -> None:
    """Which modality a linear late-fusion network learns first, whether superficially, and the penalty lam* that reverses it; with --records, was it so?"""
    from mimo_sim import benchmark, datasets
    from mimo_sim.benchmark.linear import linear_view

    chosen = settings(options) | ({"setting": setting} if setting is not None else {})
    loaded = datasets.load(dataset, root, seed, **chosen)
    arguments: dict[str, Any] = {"features": features, "components": components, "samples": samples}
    found = benchmark.diagnose(loaded, **arguments, units=units, records=records)  # type: ignore[arg-type]
    if problem_out is not None:
        linear_view(loaded, **arguments).problem(units).save(problem_out)  # type: ignore[arg-type]
    if as_json:
        typer.echo(json.dumps(found, indent=2, allow_nan=False))
        return
    _print(found)


def _print(found: dict[str, Any]) -> None:
    said, accuracy = found["prediction"], found["linear_accuracy"] or {}
    rows = [
        (
            name,
            str(found["features"]["dims"][k]),
            f"{found['features']['kept_variance'][name]:.1%}",
            f"{said['correlation'][name]:.4g}",
            f"{said['explained'][name]:.1%}",
            f"{said['unimodal_optima'][name]:.4g}",
            f"{accuracy[name]:.1%}" if accuracy else "",
        )
        for k, name in enumerate(said["correlation"])
    ]
    header = (
        "modality",
        "features",
        "variance kept",
        "rate |C|",
        "explains",
        "best loss f*",
        "linear accuracy",
    )
    report(
        rows,
        header,
        f"{found['dataset']}: linear theory, {found['samples']} train samples, units: {found['units']}",
    )
    joint = f"; linear accuracy {accuracy['joint']:.1%}" if accuracy else ""
    typer.echo(f"together they explain {said['joint_explained']:.1%}{joint}\n")
    kind = "a superficial preference" if said["superficial"] else "not superficial"
    typer.echo(
        f"learned first: {said['first_learned']}; explains most: {said['most_explaining']} ({kind}); lam* = {said['order_threshold']:.3g}"
    )
    if said["time_ratio"]:
        words = {
            "without_interaction": "if modalities did not interact",
            "after_first": "if the first is learned completely before",
        }
        ratios = [
            f"{value:.3g} {words[key]}"
            for key, value in said["time_ratio"].items()
            if value is not None
        ]
        typer.echo(f"the second emerges later by a factor of {', '.join(ratios)}")
    for name, other in found["other_units"].items():
        kind = (
            f"superficial, lam* = {other['order_threshold']:.3g}"
            if other["superficial"]
            else "not superficial"
        )
        typer.echo(f"in other units ({name}): {other['first_learned']} first, {kind}")
    typer.echo(
        "Limits: rates depend on the units of the inputs, and encoders that are not linear can learn what linear ones cannot."
    )
    if "training" in found:
        _print_training(found)


def _print_training(found: dict[str, Any]) -> None:
    what, form = ("accuracy", ".1%") if found["linear_accuracy"] else ("loss", ".4g")
    rows = []
    for run in found["training"]["runs"]:
        for name in found["prediction"]["correlation"]:
            times = (run["learning_times"][key] for key in ("sliced_accuracy", "encoder_norm"))
            final = (run["final"][key] for key in ("probe", "sliced"))
            rows.append(
                (
                    str(run["seed"]),
                    name,
                    *(f"{t[name]:.2f}" if t else "" for t in times),
                    *(f"{f[name]:{form}}" if f else "" for f in final),
                )
            )
    typer.echo("")
    header = (
        "seed",
        "modality",
        "epochs to learn (sliced accuracy)",
        "(encoder norm)",
        "probe",
        "sliced",
    )
    report(rows, header, f"Joint training: mean learning time, and final validation {what}")
    for units, seen in found["training"]["agreement"].items():
        typer.echo(
            f"predicted first in units '{units}' was first in {seen['sliced_accuracy']} runs by sliced accuracy, {seen['encoder_norm']} by encoder norm"
        )
