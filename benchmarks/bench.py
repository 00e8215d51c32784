"""Speed of mimo_sim: `python -m benchmarks.bench` (about two minutes on a quiet machine).

The cost of a step is the difference between a long and a short run of `simulate`, so set-up and the
recording of the end points cancel. What is compared runs in turn, round by round. A ratio is formed
within a round; its median over rounds is reported with its range.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import mimo_sim as ms
from mimo_sim._files import replacing

METHOD = ms.MIMO(lam=10.0, mu=0.1)
STEP_SIZE = 1e-4
CONSOLE = Console()


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def per_step(
    problem: ms.LateFusionProblem, engine: str, width: float, short: int, long: int
) -> float:
    """Seconds per training step, free of set-up."""

    def cost(steps: int) -> float:
        return seconds(
            lambda: ms.simulate(
                problem,
                METHOD,
                step_size=STEP_SIZE,
                steps=steps,
                width=width,
                record_every=steps,
                engine=engine,
            )
        )

    cheap = min(cost(short) for _ in range(3))
    return (cost(long) - cheap) / (long - short)


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def engines(rounds: int) -> list[dict[str, Any]]:
    """Exact engine against autograd on the same network (width 100), per step."""
    rows = []
    for dim in (1, 10):
        problem = (
            ms.generators.superficial_preference()
            if dim == 1
            else ms.generators.random_problem((dim, dim), seed=0)
        )
        steps = {1: 1_000_000, 10: 100_000}[dim]
        per_step(problem, "gram", 100, 10, 1000)  # compile
        per_step(problem, "autograd", 100, 2, 20)
        pairs = [
            (per_step(problem, "gram", 100, 10, steps), per_step(problem, "autograd", 100, 10, 310))
            for _ in range(rounds)
        ]
        rows.append(
            {
                "dim": dim,
                "gram_us": spread([1e6 * gram for gram, _ in pairs]),
                "autograd_us": spread([1e6 * torch for _, torch in pairs]),
                "ratio": spread([torch / gram for gram, torch in pairs]),
            }
        )
    return rows


def flatness(rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Cost per step of the exact engine, by hidden width and by number of samples."""
    problem = ms.generators.superficial_preference()
    sizes = [10**n for n in range(2, 7)]
    samples = {n: ms.LateFusionProblem.from_samples(*problem.sample(n)) for n in sizes}
    widths: dict[int, list[float]] = {n: [] for n in sizes}
    counts: dict[int, list[float]] = {n: [] for n in sizes}
    for _ in range(rounds):
        for n in sizes:
            widths[n].append(1e6 * per_step(problem, "gram", n, 10, 1_000_000))
            counts[n].append(1e6 * per_step(samples[n], "gram", 100, 10, 1_000_000))
    return {
        "width": [{"width": n, "us": spread(values)} for n, values in widths.items()],
        "samples": [{"samples": n, "us": spread(values)} for n, values in counts.items()],
    }


def commands(rounds: int) -> dict[str, dict[str, float]]:
    """Whole-process seconds of the commands a user types, once compiled."""
    tool = str(Path(sys.executable).with_name("mimo-sim"))
    with tempfile.TemporaryDirectory() as folder:
        lines = {
            "mimo-sim figure1 --quiet (20 seeds)": [tool, "figure1", "--quiet", "--out", folder],
            "mimo-sim --help": [tool, "--help"],
            "python -c 'import mimo_sim'": [sys.executable, "-c", "import mimo_sim"],
            "python -c pass": [sys.executable, "-c", "pass"],
        }
        for line in lines.values():
            subprocess.run(line, check=True, capture_output=True)
        taken: dict[str, list[float]] = {name: [] for name in lines}
        for _ in range(rounds):
            for name, line in lines.items():
                taken[name].append(
                    seconds(partial(subprocess.run, line, check=True, capture_output=True))
                )
    return {name: spread(values) for name, values in taken.items()}


def machine() -> dict[str, Any]:
    import numba
    import torch

    names = (
        [
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
        if Path("/proc/cpuinfo").exists()
        else []
    )
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "mimo_sim": ms.__version__,
    }


def show(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(*header, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    CONSOLE.print(table, "")


def text(values: dict[str, float], digits: int = 3) -> str:
    median, low, high = (f"{values[name]:,.{digits}f}" for name in ("median", "min", "max"))
    return f"{median} ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of every measurement")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("benchmarks/bench.json"),
        help="where the figures are written",
    )
    arguments = parser.parse_args()
    rounds = arguments.rounds
    results: dict[str, Any] = {
        "command": "make bench",
        "date": datetime.now(UTC).date().isoformat(),
        "rounds": rounds,
        "machine": machine(),
    }

    results["engines"] = engines(rounds)
    show(
        "One step of MIMO, K = 2, width 100: median (min to max)",
        ("dim", "gram, us", "autograd, us", "autograd / gram"),
        [
            (str(r["dim"]), text(r["gram_us"]), text(r["autograd_us"], 0), text(r["ratio"], 0))
            for r in results["engines"]
        ],
    )
    results |= flatness(rounds)
    for what in ("width", "samples"):
        show(
            f"Exact engine, d = 1: cost per step against {what}",
            (what, "us per step"),
            [(f"{r[what]:,}", text(r["us"])) for r in results[what]],
        )
    results["commands"] = commands(rounds)
    show(
        "Whole commands, once compiled",
        ("command", "seconds"),
        [(name, text(values, 2)) for name, values in results["commands"].items()],
    )

    with replacing(arguments.out) as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n")
    CONSOLE.print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
