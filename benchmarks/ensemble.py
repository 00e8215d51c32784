"""Speed of many runs at once: `python -m benchmarks.ensemble` (about two minutes).

With `--cuda` it measures the GPU of a machine that has one.

Engines take turns in one process. Ratios are formed within a round, and their medians are reported
with their range. What one core does is measured in CPU seconds, which other work on the machine
disturbs less. The gain from a second thread is elapsed time and needs a quiet machine. The fraction
of peak compares the floating-point operations of the generated step with those that a loop of
independent fused multiply-adds reaches on the same core.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

import mimo_sim as ms
from benchmarks.bench import CONSOLE, METHOD, STEP_SIZE, machine, show, spread, text
from mimo_sim._files import replacing
from mimo_sim.dynamics import simulate_ensemble
from mimo_sim.dynamics.ensemble import cpu
from mimo_sim.dynamics.ensemble.runs import Runs
from mimo_sim.dynamics.ensemble.step import Shape, step_source

PROBLEM = ms.generators.superficial_preference()
SHAPE = Shape(K=2, m=1, d=1, r=3, decay=False)
CHAIN, WIDTH = 16, 96  # multiply-adds in a row on each of so many independent numbers

WIDE: Any = cpu.wide


@njit(error_model="numpy", fastmath={"contract"})
def _multiply_add(x, factor, term, rounds):  # type: ignore[no-untyped-def]
    WIDE()
    for _ in range(rounds):
        for i in range(WIDTH):
            y = x[i]
            for _ in range(CHAIN):
                y = y * factor + term
            x[i] = y


def peak_flops() -> float:
    """Floating-point operations a second of one core.

    They are independent fused multiply-adds on vectors in registers.
    """
    x, rounds = np.ones(WIDTH), 200_000
    _multiply_add(x, 0.5, 0.5, 10)
    start = time.process_time()
    _multiply_add(x, 0.5, 0.5, rounds)
    return 2 * CHAIN * WIDTH * rounds / (time.process_time() - start)


def flops_per_step() -> dict[str, int]:
    """Operations of one step of one run: those written out, and those of its exponential."""
    step = "\n".join(line.split(" = ", 1)[-1] for part in step_source(SHAPE) for line in part)
    return {
        "additions": len(re.findall(r" [-+]=? ", step)),
        "multiplications": len(re.findall(r" \*=? ", step)),
        "divisions": step.count(" / "),
        "comparisons": len(re.findall(r" [<>] |min\(|max\(", step)),
        "exponential": 35,  # 16 additions and 19 multiplications in step.exp
    }


def ensemble_arguments(runs: int) -> tuple[list[ms.LateFusionProblem], list[ms.MIMO]]:
    """A grid of 27 problems, and a penalty of its own for every run."""
    problems = [
        ms.generators.scalar_pair(ratio, rho)
        for ratio in (1.5, 2.0, 3.0)
        for rho in np.linspace(-0.8, 0.8, 9)
    ]
    methods = [ms.MIMO(lam=lam, mu=0.1) for lam in np.linspace(0.0, 10.0, runs)]
    return [problems[i % len(problems)] for i in range(runs)], methods


def ensemble_seconds(
    runs: int,
    steps: int,
    threads: int | None,
    clock: Callable[[], float] = time.perf_counter,
    engine: str = "batch",
) -> float:
    problems, methods = ensemble_arguments(runs)
    start = clock()
    simulate_ensemble(
        problems,
        methods,
        step_size=1e-3,
        steps=steps,
        seed=np.arange(runs) % 20,
        threads=threads,
        engine=engine,
    )
    return clock() - start


def gram_seconds(steps: int) -> float:
    """Of the single-run engine, without set-up."""

    def cost(steps: int) -> float:
        start = time.process_time()
        ms.simulate(PROBLEM, METHOD, step_size=STEP_SIZE, steps=steps, record_every=steps)
        return time.process_time() - start

    cheap = min(cost(10) for _ in range(3))
    return cost(steps) - cheap


def kernel_seconds(runs: int, steps: int) -> float:
    """Of the compiled loop alone, on one core."""
    cases = Runs(PROBLEM, METHOD, STEP_SIZE, 1e-3, range(runs), 0.0, 100)
    state, constants = cases.tables(list(range(runs)), SHAPE)
    loop = cpu.advance(SHAPE)
    loop(state.copy(), constants, 1)
    start = time.process_time()
    loop(state, constants, steps)
    return time.process_time() - start


def rates(rounds: int) -> dict[str, Any]:
    """Nanoseconds per run-step of each engine, threads, and the fraction of peak."""
    gram_seconds(1000)  # compile
    ensemble_seconds(64, 64, 2)
    flops = flops_per_step()
    names = (
        "gram_ns",
        "kernel_ns",
        "ensemble_ns",
        "one_thread_elapsed_ns",
        "two_threads_elapsed_ns",
        "one_thread_long_ns",
        "two_threads_long_ns",
        "peak_gflops",
    )
    columns: dict[str, list[float]] = {name: [] for name in names}
    run_steps = 4096 * 10_000
    for _ in range(rounds):
        columns["peak_gflops"].append(peak_flops() / 1e9)
        columns["gram_ns"].append(1e9 * gram_seconds(500_000) / 500_000)
        columns["kernel_ns"].append(1e9 * kernel_seconds(1024, 2000) / (1024 * 2000))
        columns["ensemble_ns"].append(
            1e9 * ensemble_seconds(4096, 10_000, 1, time.process_time) / run_steps
        )
        columns["one_thread_elapsed_ns"].append(1e9 * ensemble_seconds(4096, 10_000, 1) / run_steps)
        columns["two_threads_elapsed_ns"].append(
            1e9 * ensemble_seconds(4096, 10_000, 2) / run_steps
        )
        # Ten times the steps: set-up, which is serial, weighs less.
        columns["one_thread_long_ns"].append(1e8 * ensemble_seconds(4096, 100_000, 1) / run_steps)
        columns["two_threads_long_ns"].append(1e8 * ensemble_seconds(4096, 100_000, 2) / run_steps)
    pairs = {
        "kernel_speedup": ("gram_ns", "kernel_ns"),
        "ensemble_speedup": ("gram_ns", "ensemble_ns"),
        "two_thread_speedup": ("one_thread_elapsed_ns", "two_threads_elapsed_ns"),
        "two_thread_speedup_of_long_runs": ("one_thread_long_ns", "two_threads_long_ns"),
    }
    ratios = {
        name: [a / b for a, b in zip(columns[over], columns[under], strict=True)]
        for name, (over, under) in pairs.items()
    }
    ratios["fraction_of_peak"] = [
        sum(flops.values()) / ns / peak
        for ns, peak in zip(columns["kernel_ns"], columns["peak_gflops"], strict=True)
    ]
    block = 8 * cpu.LANES * (SHAPE.state.height + SHAPE.constants.height)
    bound = (
        f"a block of {cpu.LANES} runs ({block // 1024} KiB) stays in the first-level cache, so not "
        "memory; the latency of a step's chain of dependent operations (its exponential and "
        "division most) and the loads and stores between the parts of a step"
    )
    return {
        "flops_per_step": flops,
        "bound_by": bound,
        **{name: spread(values) for name, values in (columns | ratios).items()},
    }


def rule_rates(rounds: int) -> dict[str, Any]:
    """Every rule: the generated step beside its autograd loop, in nanoseconds of CPU time.

    Also the run of a single-run engine, and the seconds that the generated step takes to compile or
    to be read from disk.
    """
    found: dict[str, Any] = {}
    for name in ms.rules.available():
        rule = ms.rules.create(name)
        cases = Runs(PROBLEM, rule, STEP_SIZE, 1e-3, range(1024), 0.0, 100)
        shape = cases.shape(0)
        state, constants = cases.tables(list(range(1024)), shape)
        start = time.process_time()
        loop = cpu.advance(shape)
        loop(state.copy(), constants, 1)
        compile_seconds = time.process_time() - start
        columns: dict[str, list[float]] = {"generated_ns": [], "gram_ns": [], "autograd_ns": []}
        single_run_seconds(rule, "gram", 10)
        for _ in range(rounds):
            start = time.process_time()
            loop(state.copy(), constants, 1000)
            columns["generated_ns"].append(1e9 * (time.process_time() - start) / (1024 * 1000))
            columns["gram_ns"].append(1e9 * single_run_seconds(rule, "gram", 50_000) / 50_000)
            columns["autograd_ns"].append(1e9 * single_run_seconds(rule, "autograd", 300) / 300)
        ratios = {
            "autograd_over_generated": ("autograd_ns", "generated_ns"),
            "autograd_over_gram": ("autograd_ns", "gram_ns"),
        }
        found[name] = {"first_call_seconds": compile_seconds} | {
            key: spread(values) for key, values in columns.items()
        }
        for key, (over, under) in ratios.items():
            pairs = zip(columns[over], columns[under], strict=True)
            found[name][key] = spread([a / b for a, b in pairs])
    return found


def single_run_seconds(rule: ms.rules.Rule, engine: str, steps: int) -> float:
    """CPU time of one run by `ms.simulate`, without its set-up."""

    def cost(steps: int) -> float:
        start = time.process_time()
        ms.simulate(
            PROBLEM, rule, step_size=STEP_SIZE, steps=steps, record_every=steps, engine=engine
        )
        return time.process_time() - start

    return cost(steps + 2) - cost(2)


def resident_mib() -> float:
    """Memory of this process in RAM (Linux), in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(runs: int, steps: int) -> dict[str, Any]:
    """A large ensemble on all cores, with the resident memory of the process sampled as it goes."""
    samples, done = [], threading.Event()
    start = time.perf_counter()

    def sample() -> None:
        while not done.wait(0.1):
            samples.append((time.perf_counter() - start, resident_mib()))

    watcher = threading.Thread(target=sample)
    watcher.start()
    try:
        seconds = ensemble_seconds(runs, steps, None)
    finally:
        done.set()
        watcher.join()
    inside = [mib for at, mib in samples if 0.25 * seconds <= at <= 0.95 * seconds]
    if not inside:
        inside = [mib for _, mib in samples]
    return {
        "runs": runs,
        "steps": steps,
        "seconds": seconds,
        "run_steps_per_second": runs * steps / seconds,
        "resident_mib": [
            [round(at, 2), round(mib, 1)] for at, mib in samples[:: max(1, len(samples) // 60)]
        ],
        "resident_growth_mib": max(inside) - min(inside),
    }


def cuda(runs: int, steps: int) -> dict[str, Any]:
    """The same ensemble on the GPU: time, rate, and how well a thousand runs agree with the CPU."""
    ensemble_seconds(64, 64, None, engine="cuda")  # compile; a clear error where there is no device
    problems, methods = ensemble_arguments(runs)
    settings: dict[str, Any] = {"step_size": 1e-3, "steps": steps}
    seeds = np.arange(runs) % 20
    start = time.perf_counter()
    device = simulate_ensemble(
        problems, methods, seed=seeds, engine="cuda", progress=True, **settings
    )
    seconds = time.perf_counter() - start
    chosen = np.arange(0, runs, max(1, runs // 1000))
    host = simulate_ensemble(
        [problems[i] for i in chosen], [methods[i] for i in chosen], seed=seeds[chosen], **settings
    )
    part = device.isel(run=chosen)
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    apart = {}
    for name in ("loss_mm", "objective", "loss_uni", "encoder_norm"):
        difference = np.nanmax(np.abs(part[name].values - host[name].values))
        apart[name] = float(difference / np.nanmax(np.abs(host[name].values)))
    return {
        "device": subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip(),
        "runs": runs,
        "steps": steps,
        "seconds": seconds,
        "run_steps_per_second": runs * steps / seconds,
        "agreement": {
            "runs": len(chosen),
            "half_times_identical": bool(part.half_time.equals(host.half_time)),
            "largest_relative_difference": apart,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ensemble", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of every measurement")
    parser.add_argument(
        "--runs",
        type=int,
        default=100_000,
        help="runs of the large ensemble (1000000 with --cuda is the record)",
    )
    parser.add_argument("--steps", type=int, default=10_000, help="steps of each of them")
    parser.add_argument(
        "--cuda",
        action="store_true",
        help="measure the GPU instead; needs mimo_sim[cuda] and a device",
    )
    parser.add_argument("--rules", action="store_true", help="measure the rules alone")
    parser.add_argument(
        "--out",
        type=Path,
        help="where the figures are written; benchmarks/ensemble.json, ensemble_cuda.json with "
        "--cuda, rules.json with --rules",
    )
    arguments = parser.parse_args()
    name = "ensemble_cuda" if arguments.cuda else "rules" if arguments.rules else "ensemble"
    out = arguments.out or Path(f"benchmarks/{name}.json")
    command = "python -m benchmarks.ensemble"
    if arguments.cuda:
        command += " --cuda"
    if arguments.rules:
        command += " --rules"
    for option in ("rounds",) if arguments.rules else ("rounds", "runs", "steps"):
        command += f" --{option} {getattr(arguments, option)}"
    results: dict[str, Any] = {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine() | {"load_average": os.getloadavg()},
    }
    if arguments.cuda:
        try:
            results["cuda"] = cuda(arguments.runs, arguments.steps)
        except (ModuleNotFoundError, RuntimeError) as error:
            parser.exit(2, f"{error}\n")
        CONSOLE.print_json(data=results["cuda"])
    elif arguments.rules:
        results["rules"] = found = rule_rates(arguments.rounds)
        columns = ("generated_ns", "gram_ns", "autograd_ns", "autograd_over_generated")
        show(
            "One step of a rule, K = 2, d = 1: nanoseconds per run, median (min to max)",
            ("rule", *(column.replace("_", " ") for column in columns)),
            [(name, *(text(one[column], 0) for column in columns)) for name, one in found.items()],
        )
    else:
        results["rates"] = found = rates(arguments.rounds)
        rows: list[tuple[str, ...]] = [
            (name.removesuffix("_ns").replace("_", " "), text(found[name], 1))
            for name in found
            if name.endswith("_ns")
        ]
        show(
            "One step of MIMO, K = 2, d = 1, in nanoseconds per run: median (min to max)",
            ("engine", "ns"),
            rows,
        )
        rows = [
            (name.replace("_", " "), text(found[name], 2))
            for name in found
            if name.endswith(("speedup", "runs", "peak"))
        ]
        show("Ratios within a round", ("ratio", ""), rows)
        results["memory"] = large = memory(arguments.runs, arguments.steps)
        CONSOLE.print(
            f"{large['runs']:,} runs x {large['steps']:,} steps in {large['seconds']:.1f} s, "
            f"{large['run_steps_per_second']:,.0f} run-steps a second; resident memory grew by "
            f"{large['resident_growth_mib']:.0f} MiB after the first quarter"
        )
    with replacing(out) as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n")
    CONSOLE.print(f"wrote {out}")


if __name__ == "__main__":
    main()
