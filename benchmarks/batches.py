"""Speed of exact SGD on mini-batches: `python -m benchmarks.batches` (about two minutes).

The exact engine and autograd on the whole network (width 100) take turns on the same batches in one
process. The cost of a step is the difference between a long and a short run, in CPU seconds; the
drawing of the batches is in it.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mimo_sim as ms
from benchmarks.bench import CONSOLE, machine, spread
from mimo_sim._files import replacing

SAMPLES, WIDTH, STEP_SIZE = 1024, 100, 1e-4
CASES = [((1, 1), 8), ((1, 1), 32), ((1, 1, 1), 32), ((10, 10), 32)]  # inputs, batch size
LONG, SHORT, AUTOGRAD = 100_000, 10, 210  # steps


def per_step(drawn: ms.Batches, method: Any, engine: str, steps: int) -> float:
    """CPU seconds of a step, without set-up."""

    def cost(count: int) -> float:
        start = time.process_time()
        ms.simulate(
            drawn.problem,
            method,
            batches=drawn,
            step_size=STEP_SIZE,
            steps=count,
            record_every=count,
            width=WIDTH,
            engine=engine,
        )
        return time.process_time() - start

    return (cost(steps) - cost(SHORT)) / (steps - SHORT)


def measure(rounds: int) -> list[dict[str, Any]]:
    """Microseconds of a step of both engines, and their ratio within a round."""
    rows = []
    solvers: list[Any] = [
        ms.Vanilla(),
        ms.MIMO(2.0, 0.1, f_star="running_minimum"),
        *(ms.rules.create(name) for name in ms.rules.available()),
    ]
    for dims, size in CASES:
        if dims == (1, 1):
            problem = ms.generators.superficial_preference(noise_variance=0.1)
        else:
            problem = ms.generators.random_problem(dims, seed=0, noise_variance=0.1)
        inputs, y = problem.sample(SAMPLES, 1)
        chosen = solvers if (dims, size) == ((1, 1), 32) else solvers[1:2]
        for method in chosen:
            for replace in (False, True):
                drawn = ms.Batches(inputs, y, size=size, replace=replace)
                per_step(drawn, method, "gram", 20)  # compile
                pairs = [
                    (
                        per_step(drawn, method, "gram", LONG),
                        per_step(drawn, method, "autograd", AUTOGRAD),
                    )
                    for _ in range(rounds)
                ]
                rows.append(
                    {
                        "method": method.name,
                        "dims": dims,
                        "batch_size": size,
                        "replace": replace,
                        "gram_us": spread([1e6 * gram for gram, _ in pairs]),
                        "autograd_us": spread([1e6 * torch for _, torch in pairs]),
                        "ratio": spread([torch / gram for gram, torch in pairs]),
                    }
                )
                CONSOLE.print(
                    f"{method.name} {dims} batch {size} replace {replace}:"
                    f" {rows[-1]['gram_us']['median']:.2f} us,"
                    f" {rows[-1]['ratio']['median']:,.0f} times autograd"
                )
    return rows


def main() -> None:
    """Measure and write benchmarks/batches.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    found = {
        "command": f"python -m benchmarks.batches --rounds {arguments.rounds}",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "samples": SAMPLES,
        "width": WIDTH,
        "rows": measure(arguments.rounds),
    }
    with replacing(arguments.out) as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
