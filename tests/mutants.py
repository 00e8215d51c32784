"""Mutation test: does a test fail when one operator, number or condition of the code is changed?

`make mutants` (about an hour on 2 cores) draws a seeded sample of changes per module, and runs the
tests of that room on each. The result, with every survivor, goes into tests/mutants.json.
The changes are made by cosmic-ray's operators; each worker has a copy of the tree.
"""

from __future__ import annotations

import argparse
import difflib
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue
from typing import Any, TypeVar

Result = TypeVar("Result")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.heavy"])
ROOT = Path(__file__).resolve().parent.parent
LOG = "tests.log"  # in each copy: what pytest said last
METHODS = "tests/methods"
DYNAMICS = "tests/dynamics"
PINNED, PINNED_TOY = f"{METHODS}/test_pinned.py", f"{DYNAMICS}/test_pinned.py"
# Files -> the tests that must notice a change in them. Each line gets the same share of the sample.
ROOMS: dict[str, tuple[str, ...]] = {
    "mimo_sim/_checks.py": ("tests/test_checks.py", "tests/test_suggestions.py"),
    "mimo_sim/objective.py": ("tests/test_objective.py",),
    "mimo_sim/solvers.py": ("tests/test_objective.py", "tests/test_defaults.py"),
    "mimo_sim/problem.py": ("tests/problem", PINNED_TOY),
    "mimo_sim/_moments.py": ("tests/problem", PINNED_TOY),
    "mimo_sim/_blocks.py": ("tests/problem", "tests/test_bad_input.py"),
    "mimo_sim/theory/[jlmop]*.py": ("tests/theory", PINNED_TOY),
    "mimo_sim/theory/deep.py": (f"{DYNAMICS}/test_deep.py", PINNED_TOY),
    "mimo_sim/dynamics/trajectory.py": (f"{DYNAMICS}/test_trajectory.py",),
    "mimo_sim/dynamics/engines/gram.py": (
        f"{DYNAMICS}/test_engines.py",
        f"{DYNAMICS}/test_rules.py",
        PINNED_TOY,
    ),
    "mimo_sim/dynamics/engines/early.py": (f"{DYNAMICS}/test_early.py", PINNED_TOY),
    "mimo_sim/dynamics/engines/layered.py": (f"{DYNAMICS}/test_layered.py",),
    "mimo_sim/dynamics/ensemble/step.py": (
        f"{DYNAMICS}/test_ensemble.py",
        f"{DYNAMICS}/test_rules.py",
    ),
    "mimo_sim/methods/mimo.py": (
        f"{METHODS}/test_mimo_loss.py",
        f"{METHODS}/test_mimo_state.py",
        f"{METHODS}/test_mimo_in_a_run.py",
        PINNED,
    ),
    "mimo_sim/methods/_fstar.py": (
        f"{METHODS}/test_fstar.py",
        f"{METHODS}/test_mimo_in_a_run.py",
        "tests/test_defaults.py",
        PINNED,
    ),
    "mimo_sim/methods/_gra*.py": (f"{METHODS}/test_gradient_weighting.py", PINNED),
    **{
        f"mimo_sim/methods/{name}.py": (f"{METHODS}/test_{name}.py", PINNED)
        for name in ("agm", "cml", "g_blending", "mbsd", "ogm", "pmr", "reconboost", "smv")
    },
    "mimo_sim/training/metrics.py": ("tests/training/test_metrics.py",),
    "mimo_sim/training/probes.py": ("tests/training/test_probes.py",),
    **{
        f"mimo_sim/benchmark/{name}.py": (
            "tests/benchmark/test_comparison.py",
            "tests/benchmark/test_intervals.py",
        )
        for name in ("comparison", "tables")
    },
}
BINARY = {"Add": "Sub", "Sub": "Add", "Mul": "Div", "Div": "Mul", "Pow": "Mul"}
COMPARISONS = {"Lt": "LtE", "LtE": "Lt", "Gt": "GtE", "GtE": "Gt", "Eq": "NotEq", "NotEq": "Eq"}
OPERATORS = (
    *(f"core/ReplaceBinaryOperator_{old}_{new}" for old, new in BINARY.items()),
    *(f"core/ReplaceComparisonOperator_{old}_{new}" for old, new in COMPARISONS.items()),
    "core/ReplaceUnaryOperator_Delete_USub",
    "core/ReplaceUnaryOperator_Delete_Not",
    "core/ReplaceAndWithOr",
    "core/ReplaceOrWithAnd",
    "core/ReplaceTrueWithFalse",
    "core/ReplaceFalseWithTrue",
    "core/NumberReplacer",
)


@dataclass(frozen=True)
class Mutant:
    """One change of one file: the line, how it read, how it reads, and the tests to run."""

    path: str
    line: int
    before: str
    after: str
    source: str
    tests: tuple[str, ...]


def mutants_of(path: Path, tests: tuple[str, ...]) -> list[Mutant]:
    """Every change that the operators make in a file, docstrings left alone."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    source = path.read_text()
    found = []
    for name in OPERATORS:
        occurrence = 0
        while (changed := mutate_code(source, get_operator(name)(), occurrence)) is not None:
            occurrence += 1
            old, new = source.splitlines(), changed.splitlines()
            line = next(i for i, pair in enumerate(zip(old, new, strict=False)) if len({*pair}) > 1)
            place = str(path.relative_to(ROOT))
            found.append(
                Mutant(place, line + 1, old[line].strip(), new[line].strip(), changed, tests)
            )
    return [one for one in found if counts(one)]


def counts(mutant: Mutant) -> bool:
    """Whether a change can matter: it is no annotation, no progress, no default of a plot."""
    return not re.match(r"(from|import|@|def .*->|__all__|[A-Za-z_]\w*: \w+ *$)", mutant.before)


def sample(size: int, seed: int, only: str) -> list[Mutant]:
    """The same number of mutants from every pattern of ROOMS, drawn with a seed."""
    rng, chosen = random.Random(seed), []
    wanted = [pattern for pattern in ROOMS if re.search(only, pattern)]
    for pattern in wanted:
        paths = sorted(ROOT.glob(pattern))
        if not paths:
            raise FileNotFoundError(f"no file matches {pattern}: edit ROOMS in {__file__}")
        everything = [one for path in paths for one in mutants_of(path, ROOMS[pattern])]
        share = -(-size // len(wanted))
        chosen += rng.sample(everything, min(share, len(everything)))
    rng.shuffle(chosen)
    return chosen


def copies(number: int, folder: Path) -> Iterator[Path]:
    """Copies of the tree as git lists it, with the changes that are not committed."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for i in range(number):
        place = folder / f"copy{i}"
        for name in names.splitlines():
            if (ROOT / name).is_file() and not name.startswith("figures/"):
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, place / name)
        yield place


def passes(place: Path, tests: tuple[str, ...], limit: float) -> bool:
    """Whether the tests pass in a copy of the tree; a test that does not end has noticed."""
    process = CONTEXT.Process(target=_tests, args=(place, tests))
    process.start()
    process.join(limit)
    if process.is_alive() and process.pid is not None:
        os.killpg(process.pid, signal.SIGKILL)  # and what it has started
        process.join()
    return process.exitcode == 0


def _tests(place: Path, tests: tuple[str, ...]) -> None:
    """Run tests of a copy of the tree, in a process that was forked with all packages in memory."""
    os.setsid()
    os.chdir(place)
    output = os.open(place / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ |= {"PYTHONPATH": str(place), "NUMBA_CACHE_DIR": str(place / ".numba")}
    sys.path.insert(0, str(place))
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "mimo_sim")]:
        del sys.modules[name]  # those of the copy are imported instead
    import numba
    import pytest

    numba.core.config.reload_config()
    command = ["-x", "-q", "-p", "no:cacheprovider", *tests, "-m", "not slow and not gpu"]
    sys.stdout.flush()
    os._exit(int(pytest.main(command)))


def survives(mutant: Mutant, place: Path, limit: float) -> bool:
    """Whether no test notices a change."""
    path = place / mutant.path
    original = path.read_text()
    path.write_text(mutant.source)
    try:
        return passes(place, mutant.tests, limit)
    finally:
        path.write_text(original)


def run(chosen: list[Mutant], workers: int) -> list[Mutant]:
    """The mutants that survive."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        free: Queue[Path] = Queue()
        places = list(copies(workers, Path(folder)))
        for place in places:
            free.put(place)

        def in_a_copy(work: Callable[[Path], Result]) -> Result:
            place = free.get()
            try:
                return work(place)
            finally:
                free.put(place)

        def timed(tests: tuple[str, ...]) -> float:
            start = time.perf_counter()
            if not in_a_copy(lambda place: passes(place, tests, 3600)):
                said = "\n".join(
                    (place / LOG).read_text() for place in places if (place / LOG).exists()
                )
                raise RuntimeError(f"{said}\nthe tests {tests} do not pass before any change")
            return 60 + 4 * (time.perf_counter() - start)

        def tried(mutant: Mutant) -> bool:
            alive = in_a_copy(lambda place: survives(mutant, place, limits[mutant.tests]))
            word = "SURVIVES" if alive else "noticed"
            print(f"{word} {mutant.path}:{mutant.line} {mutant.after}", flush=True)
            return alive

        sets = sorted({one.tests for one in chosen})
        limits = dict(zip(sets, pool.map(timed, sets), strict=True))
        print(f"{len(sets)} sets of tests pass before any change", flush=True)
        return [one for one, alive in zip(chosen, pool.map(tried, chosen), strict=True) if alive]


def main() -> int:
    """Draw, run, and write what survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--size", type=int, default=220, help="mutants in all")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="a regular expression for the modules")
    parser.add_argument("--out", type=Path, default=ROOT / "tests" / "mutants.json")
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1"}
    chosen = sample(options.size, options.seed, options.only)
    alive = run(chosen, options.workers)
    score = 1 - len(alive) / len(chosen)
    rows: list[dict[str, Any]] = []
    for mutant in sorted(alive, key=lambda one: (one.path, one.line)):
        row = {key: value for key, value in asdict(mutant).items() if key != "source"}
        rows.append(row)
        changes = difflib.ndiff([mutant.before], [mutant.after])
        print(f"{mutant.path}:{mutant.line}", *(change.rstrip() for change in changes), sep="\n  ")
    print(f"{len(chosen) - len(alive)} of {len(chosen)} mutants noticed: {score:.1%}")
    by_room = {room: sum(one.tests == tests for one in chosen) for room, tests in ROOMS.items()}
    report = {"seed": options.seed, "mutants": len(chosen), "score": score, "sampled": by_room}
    options.out.write_text(json.dumps(report | {"survivors": rows}, indent=2) + "\n")
    return 0 if score >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
