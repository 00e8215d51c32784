"""Many runs at once on an NVIDIA GPU: the generated step (:mod:`.step`), one thread per run.

It works in float64 and needs numba-cuda (the extra ``mimo_sim[cuda]``). With the environment
variable ``NUMBA_ENABLE_CUDASIM=1`` the same kernel runs, slowly, in numba's simulator.
"""

from __future__ import annotations

import importlib
import math
from functools import cache
from importlib.util import find_spec
from typing import Any

from mimo_sim._checks import FloatArray
from mimo_sim.dynamics.ensemble.step import GENERATED_SIZE, Advance, Shape, names, step_source

THREADS = 128  # per block
# Run-steps in one launch: well under a second of work. So the progress bar and Ctrl-C get their
# turn, and the watchdog of a GPU that also drives a screen does not stop the launch.
LAUNCH = 100_000_000


def _kernel_source(shape: Shape) -> str:
    """All steps of one run, which is the thread's own, between reading and writing its columns."""
    state, constants = names(shape.state), names(shape.constants)
    return "\n".join(
        [
            "def kernel(state, constants, steps):",
            "    run = cuda.grid(1)",
            "    if run < state.shape[1]:",
            *(f"        {name} = state[{row}, run]" for row, name in enumerate(state)),
            *(f"        {name} = constants[{row}, run]" for row, name in enumerate(constants)),
            "        for _ in range(steps):",
            *(f"            {line}" for part in step_source(shape) for line in part),
            *(f"        state[{row}, run] = {name}" for row, name in enumerate(state)),
        ]
    )


@cache
def advance(shape: Shape) -> Advance:
    """As :func:`mimo_sim.dynamics.ensemble.cpu.advance`, on the GPU.

    Raises
    ------
    ModuleNotFoundError
        If numba-cuda is not installed.
    RuntimeError
        If there is no device.
    ValueError
        For problems too large to be written out.
    """
    if find_spec("numba_cuda") is None:
        raise ModuleNotFoundError(
            "engine='cuda' needs numba-cuda, which is not installed: pip install mimo_sim[cuda]."
        )
    cuda: Any = importlib.import_module("numba.cuda")
    if not cuda.is_available():
        raise RuntimeError(
            "engine='cuda' needs an NVIDIA GPU with its driver, and found none. Use "
            "engine='batch', or NUMBA_ENABLE_CUDASIM=1 to simulate one."
        )
    if not shape.generated:
        raise ValueError(
            "engine='cuda' serves runs with K * (2m + d) * min(width, 2m + d) and m * (K * d)**2 "
            f"at most {GENERATED_SIZE}. Got {shape.K * shape.n * shape.r} and "
            f"{shape.m * (shape.K * shape.d) ** 2} (K={shape.K}, m={shape.m}, d={shape.d}); use "
            "engine='batch'."
        )
    scope: dict[str, Any] = {"cuda": cuda, "exp": math.exp, "sqrt": math.sqrt}
    scope["__name__"] = __name__
    exec(compile(_kernel_source(shape), __file__, "exec"), scope)
    kernel = cuda.jit(scope["kernel"])
    last_host: FloatArray | None = None  # the constants of the last call: many calls share them
    last_device: Any = None

    def advanced(state: FloatArray, constants: FloatArray, steps: int) -> None:
        nonlocal last_host, last_device
        if last_host is not constants:
            last_host, last_device = constants, cuda.to_device(constants)
        there, runs = cuda.to_device(state), state.shape[1]
        blocks = -(-runs // THREADS)
        stride = max(1, LAUNCH // max(runs, 1))
        for start in range(0, steps, stride):
            kernel[blocks, THREADS](there, last_device, min(stride, steps - start))
            cuda.synchronize()
        there.copy_to_host(state)

    return advanced
