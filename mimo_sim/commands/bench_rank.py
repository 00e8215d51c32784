"""`mimo-sim bench rank`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mimo_sim.commands import bench
from mimo_sim.commands._options import Quiet
from mimo_sim.commands._output import command_line, read_formats, report, say_written

if TYPE_CHECKING:
    from mimo_sim.benchmark import Ranking

MOST_NAMED = 4  # of methods that are not ranked; ranks.json has all


@bench.command()
def rank(
    results: Annotated[
        list[Path],
        typer.Argument(help="Folders that `bench run` wrote, or files that `bench pack` wrote."),
    ],
    metric: Annotated[
        str, typer.Option(help="accuracy, gap/probe, probe/audio or another of `bench compare`.")
    ] = "accuracy",
    method: Annotated[
        list[str] | None, typer.Option(help="Method to rank; repeatable. By default all.")
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="Data set to rank on, as tables name it; repeatable. By default all."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for ranks.json and a figure; by default none are written.",
            file_okay=False,
        ),
    ] = None,
    format_: Annotated[
        str,
        typer.Option("--format", help="Of the figure: png, pdf or svg, or several with commas."),
    ] = "png",
    mixed: Annotated[
        bool,
        typer.Option("--mixed", help="Take rows whose runs are not of one committed code too."),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Rank methods over several data sets: mean ranks and critical distance.

    Only methods with runs on every data set are ranked. Compared are means over the seeds that all
    methods of a data set have, on the test split. Two methods whose mean ranks differ by less than
    the critical distance are not told apart (Friedman's test, then Nemenyi's at 5 %).
    """
    from mimo_sim import benchmark, plots
    from mimo_sim._files import replacing
    from mimo_sim._json import to_json
    from mimo_sim.benchmark.ranking import on_shared_seeds
    from mimo_sim.benchmark.records import checked

    suffixes = read_formats(format_)
    runs = checked(run for place in results for run in benchmark.read(place))
    if not mixed:
        benchmark.refuse_doubtful(runs)
    for option, chosen, known in (
        ("--method", method, {run.method for run in runs}),
        ("--dataset", dataset, {run.dataset for run in runs}),
    ):
        unknown = sorted(set(chosen or ()) - known)
        if unknown:
            raise ValueError(
                f"`{option}` must have runs in the results. Got {unknown[0]!r}. "
                f"They have: {', '.join(sorted(known))}."
            )
    asked = [
        run
        for run in runs
        if (not method or run.method in method) and (not dataset or run.dataset in dataset)
    ]
    ranking = benchmark.rank(benchmark.summary(on_shared_seeds(asked)), metric)
    if not quiet:
        _show(ranking)
    if out is None:
        return
    written = []
    for suffix in suffixes:
        with replacing(out / f"ranks{suffix}") as temporary:
            plots.write(plots.draw_ranks(ranking), temporary)
        written.append(out / f"ranks{suffix}")
    words = command_line(
        "bench",
        "rank",
        *results,
        metric=None if metric == "accuracy" else metric,
        method=method,
        dataset=dataset,
        out=out,
        mixed=mixed,
    )
    with replacing(out / "ranks.json") as temporary:
        temporary.write_text(to_json(_record(ranking, words)), encoding="utf-8")
    written.append(out / "ranks.json")
    if not quiet:
        say_written(written)


def _record(ranking: Ranking, command: str) -> dict[str, object]:
    ranks = zip(ranking.methods, ranking.mean_ranks, ranking.ranks, strict=True)
    return {
        "command": command,
        "metric": ranking.metric,
        "datasets": list(ranking.datasets),
        "methods": {
            name: {"mean_rank": float(mean), "ranks": by_dataset.tolist()}
            for name, mean, by_dataset in ranks
        },
        "friedman_p_value": ranking.p_value,
        "critical_distance": ranking.critical_distance,
        "as_good_as_best": ranking.as_good_as_best(),
        "left_out": {name: list(where) for name, where in ranking.left_out.items()},
    }


def _show(ranking: Ranking) -> None:
    """Print the ranks and what they mean."""
    from mimo_sim.benchmark.wording import method_words

    cells = [
        (method_words(name), f"{mean:.1f}", *(f"{value:g}" for value in by_dataset))
        for name, mean, by_dataset in zip(
            ranking.methods, ranking.mean_ranks, ranking.ranks, strict=True
        )
    ]
    report(
        cells,
        ("method", "mean rank", *ranking.datasets),
        f"Ranks by {ranking.metric}, 1 = best",
    )
    near = ranking.as_good_as_best()
    typer.echo(
        f"Mean ranks that differ by less than {ranking.critical_distance:.1f} are not told apart "
        f"(Nemenyi, 5 %): that is so for the best and {len(near) - 1} others."
    )
    typer.echo(
        f"All methods equally good: p = {ranking.p_value:.2g} (Friedman). Where this is small, "
        "some methods differ; which ones, few data sets may not tell."
    )
    if ranking.left_out:
        few = ", ".join([*ranking.left_out][:MOST_NAMED])
        more = len(ranking.left_out) - MOST_NAMED
        typer.echo(
            f"Without runs on every data set: {few}{f' and {more} others' if more > 0 else ''}."
        )
