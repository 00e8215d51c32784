"""Numbers of today, kept in a file: a change of any of them is noticed, and has to be wanted.

Other tests say what must be true of a number. These say that it has not changed by mistake.
To renew them after a change that is wanted: ``python -m tests.pinned``. Then look at what changed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
Case = Callable[[], Mapping[str, Any]]


def plain(value: Any) -> Any:
    """Numbers, texts, lists and dicts only; numbers that JSON has no word for become text."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    array = np.asarray(value)
    if array.ndim:
        return plain(array.tolist())
    number = array.item()
    if not isinstance(number, float):
        return number
    return float(f"{number:.12g}") if math.isfinite(number) else str(number)


def difference(kept: Any, now: Any, relative: float, place: str = "") -> str:
    """The first place at which two results differ, in words; empty if there is none."""
    if isinstance(kept, dict) and isinstance(now, dict):
        if kept.keys() != now.keys():
            return f"{place}: names {sorted(kept.keys() ^ now.keys())}"
        pairs = [(f"{place}.{name}", kept[name], now[name]) for name in kept]
    elif isinstance(kept, list) and isinstance(now, list):
        if len(kept) != len(now):
            return f"{place}: {len(kept)} entries, now {len(now)}"
        pairs = [(f"{place}[{i}]", *pair) for i, pair in enumerate(zip(kept, now, strict=True))]
    else:
        numbers = all(
            isinstance(one, int | float) and not isinstance(one, bool) for one in (kept, now)
        )
        equal = math.isclose(kept, now, rel_tol=relative, abs_tol=1e-9) if numbers else kept == now
        return "" if equal else f"{place}: {kept}, now {now}"
    return next(filter(None, (difference(a, b, relative, at) for at, a, b in pairs)), "")


def kept(name: str) -> dict[str, Any]:
    """The numbers in ``tests/NAME.json``."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def keep(name: str, cases: Mapping[str, Case]) -> None:
    """Write the numbers of today."""
    found = {case: plain(compute()) for case, compute in cases.items()}
    path = FOLDER / f"{name}.json"
    path.write_text(
        json.dumps(found, indent=None, separators=(",", ":")).replace('},"', '},\n"') + "\n"
    )


if __name__ == "__main__":
    from tests.dynamics.test_pinned import CASES as TOY
    from tests.methods.test_pinned import CASES as METHODS
    from tests.rules.test_pinned import CASES as RULES

    keep("methods/pinned", METHODS)
    keep("dynamics/pinned", TOY)
    keep("rules/pinned", RULES)
