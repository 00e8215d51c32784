"""Mutation test: does a test fail when one operator, number or condition of the code is changed?

`make mutants` draws a seeded sample of changes per module, and runs the tests of that room on each.
The result, with every survivor, goes into tests/mutants.json. The changes are made by cosmic-ray's
operators, where :mod:`tests.mutable` does not say that a change cannot matter. Each worker has a
copy of the tree.

A survivor that changes no result is an equivalent mutant. Whether it is one, somebody has to find
out: write ``"verdict": "equivalent"`` and the reason (``why``) into the file. The next run keeps
the words of a survivor that it meets again, and ``--recount`` renews the scores. ``--control``
tries files that only got a comment: all must survive, or tests fail for a reason of their own.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import json
import math
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from tests.mutable import LeftAlone
from tests.rooms import ROOMS, ROOT, tests_of

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.heavy"])
OUT = ROOT / "tests" / "mutants.json"
LOG, SECONDS = "tests.log", "seconds.json"  # in each copy: what pytest said last; what tests take
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

    room: str
    path: str
    line: int
    before: str
    after: str
    source: str
    tests: tuple[str, ...]


def mutants_of(room: str, paths: list[Path], rng: random.Random) -> Iterator[Mutant]:
    """Every change that the operators make in these files and that can matter, in random order."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    places = []
    for path in paths:
        left_alone = LeftAlone(path.read_text())
        nodes = list(ast_nodes(get_ast_from_path(path)))
        for name in OPERATORS:
            operator = get_operator(name)()
            starts = [start for node in nodes for start, _ in operator.mutation_positions(node)]
            places += [
                (path, operator, i) for i, at in enumerate(starts) if not left_alone.rule(at)
            ]
    rng.shuffle(places)
    for path, operator, occurrence in places:
        source = path.read_text()
        changed = mutate_code(source, operator, occurrence)
        old, new = source.splitlines(), changed.splitlines()
        line = next(i for i, pair in enumerate(zip(old, new, strict=False)) if len({*pair}) > 1)
        place = str(path.relative_to(ROOT))
        yield Mutant(
            room,
            place,
            line + 1,
            old[line].strip(),
            new[line].strip(),
            changed,
            tests_of(room, path),
        )


def sample(size: int, seed: int, only: str) -> list[Mutant]:
    """The same number of mutants from every pattern of ROOMS, drawn with a seed."""
    rng, chosen = random.Random(seed), list[Mutant]()
    wanted = [pattern for pattern in ROOMS if re.search(only, pattern)]
    for pattern in wanted:
        paths = sorted(ROOT.glob(pattern))
        if not paths:
            raise FileNotFoundError(f"no file matches {pattern}: edit tests/rooms.py")
        chosen += itertools.islice(mutants_of(pattern, paths, rng), -(-size // len(wanted)))
    rng.shuffle(chosen)
    return chosen


def unchanged(only: str) -> list[Mutant]:
    """A change that changes nothing for every line of ROOMS: all of these must survive."""
    chosen = []
    for room in (pattern for pattern in ROOMS if re.search(only, pattern)):
        path = sorted(ROOT.glob(room))[0]
        source = path.read_text() + "# nothing\n"
        place = str(path.relative_to(ROOT))
        chosen.append(Mutant(room, place, 0, "", "# nothing", source, tests_of(room, path)))
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


class Order:
    """A plugin of pytest: quick files first, only tests asked for; it notes what each takes."""

    def __init__(self, tests: tuple[str, ...], seconds: dict[str, float]) -> None:
        self.tests, self.known, self.seconds = tests, seconds, dict[str, float]()

    @property
    def files(self) -> list[str]:
        """What to collect."""
        return list(dict.fromkeys(test.partition("::")[0] for test in self.tests))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Whole files: tests of one file keep their order."""
        items[:] = [item for item in items if item.nodeid.startswith(self.tests)]
        of_file: dict[str, float] = {}
        for item in items:
            file = item.nodeid.partition("::")[0]
            of_file[file] = of_file.get(file, 0.0) + self.known.get(item.nodeid, 0.0)
        items.sort(key=lambda item: of_file[item.nodeid.partition("::")[0]])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up what preparing and running the test took."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def passes(place: Path, tests: tuple[str, ...], limit: float, *, first: bool = False) -> bool:
    """Whether the tests pass in a copy of the tree; a test that does not end has noticed.

    The `limit` is one of processor time, in seconds. The first time, what the tests take and the
    machine code that they compile are kept for later runs. These use copies of the machine code:
    code of a mutant must not meet the next one.
    """
    cache, of_one = place / ".numba", place / ".numba-of-one"
    cache.mkdir(exist_ok=True)
    if not first:
        shutil.copytree(cache, of_one, copy_function=os.link)  # files are replaced, never edited
    process = CONTEXT.Process(
        target=_tests, args=(place, tests, limit, cache if first else of_one, first)
    )
    process.start()
    process.join(20 * limit)
    if process.is_alive() and process.pid is not None:
        os.killpg(process.pid, signal.SIGKILL)  # and what it has started
        process.join()
    shutil.rmtree(of_one, ignore_errors=True)
    return process.exitcode == 0


def _tests(place: Path, tests: tuple[str, ...], limit: float, cache: Path, first: bool) -> None:
    """Run tests of a copy of the tree, in a process that was forked with all packages in memory."""
    os.setsid()
    os.chdir(place)
    output = os.open(place / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), math.ceil(limit) + 5))
    sys.dont_write_bytecode = not first
    os.environ |= {"PYTHONPATH": str(place), "NUMBA_CACHE_DIR": str(cache)}
    sys.path.insert(0, str(place))
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "mimo_sim")]:
        del sys.modules[name]  # those of the copy are imported instead
    import numba

    numba.core.config.reload_config()
    kept = place / SECONDS
    order = Order(tests, json.loads(kept.read_text()) if kept.exists() else {})
    command = ["-x", "-q", "-p", "no:cacheprovider", *order.files, "-m", "not slow and not gpu"]
    command += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # plugins in memory already
    code = int(pytest.main(command, plugins=[order]))
    if first:
        kept.write_text(json.dumps(order.seconds))
    sys.stdout.flush()
    os._exit(code)


def survives(mutant: Mutant, place: Path, limit: float) -> bool:
    """Whether no test notices a change."""
    path = place / mutant.path
    original, told = path.read_text(), path.stat()
    path.write_text(mutant.source)
    # Bytecode is that of a file with this date, to the second: the changed file has another one.
    os.utime(path, (told.st_atime, told.st_mtime + 1000))
    try:
        return passes(place, mutant.tests, limit)
    finally:
        path.write_text(original)
        os.utime(path, (told.st_atime, told.st_mtime))


def run(chosen: list[Mutant], workers: int) -> list[Mutant]:
    """The mutants that survive."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        free: Queue[Path] = Queue()
        places = list(copies(workers, Path(folder)))
        for place in places:
            free.put(place)

        def prepared(place: Path) -> dict[str, float]:
            every = tuple(sorted({test for one in chosen for test in one.tests}))
            if not passes(place, every, 3600, first=True):
                raise RuntimeError(
                    f"{(place / LOG).read_text()}\nthe tests do not pass as they are"
                )
            found: dict[str, float] = json.loads((place / SECONDS).read_text())
            return found

        def limit(tests: tuple[str, ...]) -> float:
            return 30 + 2 * sum(t for name, t in seconds.items() if name.startswith(tests))

        def tried(mutant: Mutant) -> bool:
            place = free.get()
            start = time.perf_counter()
            try:
                alive = survives(mutant, place, limit(mutant.tests))
            finally:
                free.put(place)
            word, seconds = "SURVIVES" if alive else "noticed", time.perf_counter() - start
            print(f"{word} {seconds:.0f} s {mutant.path}:{mutant.line} {mutant.after}", flush=True)
            return alive

        seconds = max(pool.map(prepared, places), key=lambda each: sum(each.values()))
        print(f"{len(seconds)} tests pass in {sum(seconds.values()):.0f} s", flush=True)
        return [one for one, alive in zip(chosen, pool.map(tried, chosen), strict=True) if alive]


def main() -> int:
    """Draw, run, and write what survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--size", type=int, default=124, help="mutants in all")
    parser.add_argument("--seed", type=int, default=6, help="of the draw")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="a regular expression for the modules")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--recount", action="store_true", help="the scores of --out, anew")
    parser.add_argument("--control", action="store_true", help="try changes that change nothing")
    options = parser.parse_args()
    if options.recount:
        return written(json.loads(options.out.read_text()), options.out)
    os.environ |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    if options.control:
        drawn = unchanged(options.only)
        return len(drawn) - len(run(drawn, options.workers))
    chosen = sample(options.size, options.seed, options.only)
    print(f"{len(chosen)} mutants drawn", flush=True)
    alive = run(chosen, options.workers)
    known = json.loads(OUT.read_text())["survivors"] if OUT.exists() else []
    words = {(one["path"], one["before"], one["after"]): one for one in known}
    rows = []
    for mutant in sorted(alive, key=lambda one: (one.path, one.line)):
        row: dict[str, Any] = {k: v for k, v in asdict(mutant).items() if k not in LEFT_OUT}
        told = words.get((mutant.path, mutant.before, mutant.after), {})
        rows.append(row | {"verdict": "open", "why": ""} | {k: told[k] for k in SAID if k in told})
        changes = difflib.ndiff([mutant.before], [mutant.after])
        print(f"{mutant.path}:{mutant.line}", *(change.rstrip() for change in changes), sep="\n  ")
    report = {
        "seed": options.seed,
        "mutants": len(chosen),
        "sampled": {room: sum(one.room == room for one in chosen) for room in ROOMS},
        "survivors": rows,
    }
    return written(report, options.out)


LEFT_OUT = ("source", "room", "tests")  # of a mutant, in the file
SAID = ("verdict", "why")  # of a survivor, by hand


def written(report: dict[str, Any], path: Path) -> int:
    """Write the report with its scores; 0 where at least nine tenths of the mutants are noticed."""
    survivors = report.pop("survivors")
    equivalent = sum(one["verdict"] == "equivalent" for one in survivors)
    noticed, real = report["mutants"] - len(survivors), report["mutants"] - equivalent
    scores = {
        "noticed": noticed,
        "score": noticed / report["mutants"],
        "equivalent": equivalent,
        "score_without_equivalents": noticed / real,
    }
    path.write_text(json.dumps(report | scores | {"survivors": survivors}, indent=2) + "\n")
    print(f"{noticed} of {report['mutants']} mutants noticed: {noticed / report['mutants']:.1%}")
    print(f"{equivalent} of the others are equivalent; without them {noticed / real:.1%}")
    return 0 if noticed >= 0.9 * real else 1


if __name__ == "__main__":
    sys.exit(main())
