"""Print, fault by fault, which claims notice it."""

from __future__ import annotations

import argparse

from paper_checks.faults import FAULTS, noticed
from paper_checks.runner import discover


def main() -> None:
    """Plant every fault in turn, and print who noticed it."""
    parser = argparse.ArgumentParser(
        prog="python -m paper_checks.faults",
        description="Plant faults in the package, one at a time, and print which claims notice.",
    )
    parser.add_argument(
        "--all", action="store_true", help="run every claim, not only those that a fault names"
    )
    parser.add_argument(
        "--draws", type=int, default=50, help="random cases of each check (default: 50)"
    )
    arguments = parser.parse_args()
    for fault in FAULTS:
        claims = tuple(discover()) if arguments.all else fault.caught_by
        found = noticed(fault, claims, arguments.draws)
        print(f"{fault.id}: {fault.what}")
        print(f"    noticed by {', '.join(found) or 'NOBODY'}", flush=True)


if __name__ == "__main__":
    main()
