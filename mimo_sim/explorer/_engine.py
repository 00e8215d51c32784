"""The exact engine in JavaScript, from the generated step that CPU and GPU compile too."""

from __future__ import annotations

import json

from mimo_sim.dynamics.ensemble.step import Shape, names, step_source
from mimo_sim.dynamics.records import BLOW_UP, MANY_FLIPS
from mimo_sim.explorer._javascript import assigned, javascript

# Two scalar inputs, one output. At infinite width a factor Z_k has as many columns as rows.
SHAPE = Shape(K=2, m=1, d=1, r=3, decay=False)


def engine_source(shape: Shape = SHAPE) -> str:
    """JavaScript that defines ``ENGINE``, what stands where in its tables, and ``run``.

    ``run(state, constants, steps, every, out)`` takes the steps of one run. It writes a row of
    ``ENGINE.recorded`` into `out` at step 0, every so many steps, and at the last step. It returns
    the step of divergence, or -1.
    """
    state, constants = names(shape.state), names(shape.constants)
    losses, weights, update = (javascript(part) for part in step_source(shape))
    made = assigned([line for part in step_source(shape) for line in part])
    local = [name for name in made if name not in state]
    recorded = [*state, "excess_mm"]
    recorded += [f"{name}{k}" for name in ("excess", "gap") for k in range(shape.K)]
    table = {
        "state": state,
        "constants": constants,
        "recorded": recorded,
        "modalities": shape.K,
        "rows": shape.n,
        "columns": shape.r,
        "many_flips": MANY_FLIPS,
        "blow_up": BLOW_UP,
    }
    return "\n".join(
        [
            f"const ENGINE = {json.dumps(table)};",
            "function run(state, constants, steps, every, out) {",
            *(f"let {name} = state[{row}];" for row, name in enumerate(state)),
            *(f"const {name} = constants[{row}];" for row, name in enumerate(constants)),
            *(f"let {name} = 0;" for name in local),
            "let next = 0, at = 0;",
            "for (let t = 0; ; t++) {",
            *losses,
            "if (bad > 0) return t;",
            *weights,
            "if (t === next) {",
            *(f"out[at + {i}] = {name};" for i, name in enumerate(recorded)),
            "if (t === steps) return -1;",
            f"at += {len(recorded)};",
            "next = Math.min(next + every, steps);",
            "}",
            *update,
            "}",
            "}",
        ]
    )
