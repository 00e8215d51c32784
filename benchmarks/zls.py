"""The [ZLS] sweep here and in a plain torch loop: `python -m benchmarks.zls` (under a minute).

Ours is the whole of `mimo_sim.studies.zls.compute`: 4 ratios x 9 correlations x 5 seeds of 40,000
steps each, predictions included. The torch loop trains the two-layer late-fusion network (width
100) by SGD on 8,192 samples in float32, as the public code of [ZLS] does. Some of its steps are
timed, without its set-up, and scaled by steps times runs. It has one thread or all, whichever is
faster. Both are measured in turn, round by round, and the ratio is formed within a round. The
machine must be quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

import mimo_sim as ms
from benchmarks.bench import machine, seconds, spread
from mimo_sim._files import replacing
from mimo_sim.studies import zls

SAMPLES, WIDTH, STEPS = 8192, 100, 40_000
LEARNING_RATE, INIT_SCALE = 0.01, 1e-9


def torch_steps(count: int, threads: int) -> float:
    """Seconds that so many steps of the plain loop take, after some to warm up."""
    torch.set_num_threads(threads)
    inputs, target = ms.generators.scalar_pair(sigma_ratio=2.0, rho=0.5).sample(SAMPLES)
    x = [torch.tensor(part, dtype=torch.float32) for part in inputs]
    y = torch.tensor(target, dtype=torch.float32)
    encoders = [torch.nn.Linear(1, WIDTH, bias=False) for _ in x]
    head = torch.nn.Linear(2 * WIDTH, 1, bias=False)
    weights = [*(encoder.weight for encoder in encoders), head.weight]
    for weight in weights:
        torch.nn.init.normal_(weight, std=INIT_SCALE)
    optimizer = torch.optim.SGD(weights, lr=LEARNING_RATE)

    def train(count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            hidden = torch.cat(
                [encoder(part) for encoder, part in zip(encoders, x, strict=True)], dim=1
            )
            loss = torch.nn.functional.mse_loss(head(hidden), y)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss.item()  # the public code records the loss of every step

    train(count // 4 + 1)
    return seconds(lambda: train(count))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of every measurement")
    parser.add_argument(
        "--torch-steps", type=int, default=100, help="steps of the torch loop timed per round"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("benchmarks/zls.json"),
        help="where the figures are written",
    )
    arguments = parser.parse_args()

    runs = zls.compute(steps=100).time_ratio.size  # also compiles
    cores = torch.get_num_threads()
    ours, per_step, ratios = [], [], []
    for _ in range(arguments.rounds):
        fastest = min(torch_steps(arguments.torch_steps, threads) for threads in {1, cores})
        per_step.append(fastest / arguments.torch_steps)
        ours.append(seconds(lambda: zls.compute(steps=STEPS)))
        ratios.append(per_step[-1] * STEPS * runs / ours[-1])
    options = f"--rounds {arguments.rounds} --torch-steps {arguments.torch_steps}"
    results: dict[str, Any] = {
        "command": f"python -m benchmarks.zls {options}",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine() | {"load_average": os.getloadavg()},
        "runs": runs,
        "steps": STEPS,
        "samples": SAMPLES,
        "ours_seconds": spread(ours),
        "torch_ms_per_step": spread([1e3 * each for each in per_step]),
        "torch_hours_scaled": statistics.median(per_step) * STEPS * runs / 3600,
        "ratio": spread(ratios),
    }
    with replacing(arguments.out) as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n")
    Console().print(
        f"{runs} runs x {STEPS:,} steps: ours {results['ours_seconds']['median']:.2f} s, plain "
        f"torch loop {results['torch_hours_scaled']:.1f} h "
        f"({results['torch_ms_per_step']['median']:.2f} ms a step): "
        f"{results['ratio']['median']:,.0f} times faster\nwrote {arguments.out}"
    )


if __name__ == "__main__":
    main()
