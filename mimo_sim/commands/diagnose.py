"""`mimo-sim diagnose`: what linear theory predicts for a data set before training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mimo_sim.commands import app
from mimo_sim.commands._options import Seed
from mimo_sim.commands._output import report
from mimo_sim.commands.data import Option, Root, settings

READINGS = {
    "without_interaction": "if modalities did not interact",
    "after_first": "if the first is learned completely before",
}


@app.command()
def diagnose(
    dataset: Annotated[str, typer.Option(help="A name of `mimo-sim data list`, or an .npz file.")],
    root: Root = None,
    setting: Annotated[str | None, typer.Option(help="Short for --option setting=...")] = None,
    options: Option = None,
    features: Annotated[
        str, typer.Option(help="pca (principal components of each input) or raw (the input).")
    ] = "pca",
    components: Annotated[
        int, typer.Option(help="Largest number of principal components per modality.")
    ] = 50,
    samples: Annotated[int, typer.Option(help="Largest number of train samples.")] = 5_000,
    units: Annotated[
        str,
        typer.Option(
            help="How inputs are scaled: modality (each has total variance 1), network (as the "
            "network sees them), or feature (each has variance 1)."
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
    """Say which modality a linear late-fusion network learns first.

    It also says whether that preference is superficial, and which penalty lam* of MIMO reverses it.
    With --records it says whether training agreed.
    """
    from mimo_sim import benchmark, datasets
    from mimo_sim.benchmark.linear import linear_view

    chosen = settings(options)
    if setting is not None:
        chosen["setting"] = setting
    loaded = datasets.load(dataset, root, seed, **chosen)
    view: dict[str, Any] = {"features": features, "components": components, "samples": samples}
    found = benchmark.diagnose(loaded, **view, units=units, records=records)  # type: ignore[arg-type]
    if problem_out is not None:
        linear_view(loaded, **view).problem(units).save(problem_out)  # type: ignore[arg-type]
    if as_json:
        typer.echo(json.dumps(found, indent=2, allow_nan=False))
        return
    _print_modalities(found)
    _print_order(found)
    if "training" in found:
        _print_training(found)


def _print_modalities(found: dict[str, Any]) -> None:
    """A table with a row per modality."""
    prediction, accuracy = found["prediction"], found["linear_accuracy"]
    rows = []
    for k, name in enumerate(prediction["correlation"]):
        rows.append(
            (
                name,
                str(found["features"]["dims"][k]),
                f"{found['features']['kept_variance'][name]:.1%}",
                f"{prediction['correlation'][name]:.4g}",
                f"{prediction['explained'][name]:.1%}",
                f"{prediction['unimodal_optima'][name]:.4g}",
                f"{accuracy[name]:.1%}" if accuracy else "",
            )
        )
    header = (
        "modality",
        "features",
        "variance kept",
        "rate |C|",
        "explains",
        "best loss f*",
        "linear accuracy",
    )
    title = (
        f"{found['dataset']}: linear theory, {found['samples']} train samples, "
        f"units: {found['units']}"
    )
    report(rows, header, title)
    joint = f"; linear accuracy {accuracy['joint']:.1%}" if accuracy else ""
    typer.echo(f"together they explain {prediction['joint_explained']:.1%}{joint}\n")


def _print_order(found: dict[str, Any]) -> None:
    """Who is first, by how much, and how sure that is."""
    prediction = found["prediction"]
    kind = "a superficial preference" if prediction["superficial"] else "not superficial"
    typer.echo(
        f"learned first: {prediction['first_learned']}; "
        f"explains most: {prediction['most_explaining']} ({kind}); "
        f"lam* = {prediction['order_threshold']:.3g}"
    )
    if prediction["time_ratio"]:
        ratios = []
        for reading, words in READINGS.items():
            value = prediction["time_ratio"][reading]
            if value is not None:
                ratios.append(f"{value:.3g} {words}")
        typer.echo(f"the second emerges later by a factor of {', '.join(ratios)}")
    for units, other in found["other_units"].items():
        kind = "not superficial"
        if other["superficial"]:
            kind = f"superficial, lam* = {other['order_threshold']:.3g}"
        typer.echo(f"in other units ({units}): {other['first_learned']} first, {kind}")
    typer.echo(
        "Limits: rates depend on the units of the inputs, "
        "and encoders that are not linear can learn what linear ones cannot."
    )


def _print_training(found: dict[str, Any]) -> None:
    """What joint training did, and in how many runs the prediction was right."""
    what, form = ("accuracy", ".1%") if found["linear_accuracy"] else ("loss", ".4g")
    rows = []
    for run in found["training"]["runs"]:
        for name in found["prediction"]["correlation"]:
            row = [str(run["seed"]), name]
            for reading in ("sliced_accuracy", "encoder_norm"):
                times = run["learning_times"][reading]
                row.append(f"{times[name]:.2f}" if times else "")
            for definition in ("probe", "sliced"):
                final = run["final"][definition]
                row.append(f"{final[name]:{form}}" if final else "")
            rows.append(tuple(row))
    header = (
        "seed",
        "modality",
        "epochs to learn (sliced accuracy)",
        "(encoder norm)",
        "probe",
        "sliced",
    )
    typer.echo("")
    report(rows, header, f"Joint training: mean learning time, and final validation {what}")
    for units, seen in found["training"]["agreement"].items():
        typer.echo(
            f"predicted first in units '{units}' was first in {seen['sliced_accuracy']} runs "
            f"by sliced accuracy, {seen['encoder_norm']} by encoder norm"
        )
