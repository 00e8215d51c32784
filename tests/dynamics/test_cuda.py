"""The CUDA engine: in numba's simulator everywhere, on hardware where there is some."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import mimo_sim as ms
from mimo_sim.dynamics.ensemble import cuda, simulate_ensemble
from mimo_sim.dynamics.ensemble.step import Shape

CODE = """
import json, sys
import mimo_sim as ms
from mimo_sim.dynamics.ensemble import cuda
from mimo_sim.dynamics.ensemble.driver import simulate_ensemble
cuda.LAUNCH, cuda.THREADS = 4, 8  # several launches a leg; few threads for the simulator to start
case = json.loads(sys.argv[1])
if case["rules"]:
    rules = [ms.MGDA(), ms.OGM()]
    runs = simulate_ensemble(
        ms.generators.scalar_pair(2.0, 0.3), rules, step_size=0.02, steps=9, init_scale=0.3,
        width=1, engine=case["engine"],
    )
    print(json.dumps({name: runs[name].values.tolist() for name in runs.data_vars}))
    sys.exit()
problems = [ms.generators.scalar_pair(2.0, 0.3), ms.generators.random_problem((1, 1, 1), seed=1)]
methods = [
    ms.Vanilla(),
    ms.MIMO(lam=2.0, mu=0.25, f_star="running_minimum"),
    ms.MIMO(lam=2.0, mu=0.25, heads="plain"),
]
runs = simulate_ensemble(
    [problem for problem in problems for _ in methods],
    [method for _ in problems for method in methods],
    step_size=[0.05, 0.05, 0.05, 0.05, 0.05, 3.0],
    seed=range(6),
    engine=case["engine"],
    **case["settings"],
)
print(json.dumps({name: runs[name].values.tolist() for name in runs.data_vars}))
"""
SETTINGS = {
    "steps": 66,
    "init_scale": 0.3,
    "weight_decay": [0.0, 0.0, 0.1, 0.0, 0.0, 0.0],
    "momentum": [0.0, 0.5, 0.5, 0.0, 0.0, 0.0],
    "record_every": 40,
}


def ensemble(engine: str, rules: bool = False, **environment: str) -> dict[str, Any]:
    line = [
        sys.executable,
        "-W",
        "error",
        "-c",
        CODE,
        json.dumps({"engine": engine, "settings": SETTINGS, "rules": rules}),
    ]
    done = subprocess.run(
        line, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def assert_agree(device: dict[str, Any], host: dict[str, Any]) -> None:
    assert device["status"] == [0, 0, 0, 0, 0, 2]
    for name in host:
        if name in ("status", "diverged_at", "final_step", "flips", "half_time", "plateau_step"):
            np.testing.assert_array_equal(device[name], host[name], err_msg=name)
        else:
            kept = slice(5)  # the last values of the diverged run are beyond 1e8
            np.testing.assert_allclose(
                np.array(device[name])[kept],
                np.array(host[name])[kept],
                rtol=1e-9,
                atol=1e-12,
                err_msg=name,
            )


def test_the_simulator_agrees_with_the_cpu() -> None:
    assert_agree(ensemble("cuda", NUMBA_ENABLE_CUDASIM="1"), ensemble("batch"))


@pytest.mark.slow
def test_rules_agree_in_the_simulator() -> None:
    device, host = ensemble("cuda", True, NUMBA_ENABLE_CUDASIM="1"), ensemble("batch", True)
    for name in host:
        np.testing.assert_allclose(device[name], host[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.gpu
def test_the_device_agrees_with_the_cpu() -> None:
    numba_cuda: Any = importlib.import_module("numba.cuda")
    if not numba_cuda.is_available():
        pytest.skip("no CUDA device")
    assert_agree(ensemble("cuda"), ensemble("batch"))


@pytest.mark.parametrize(
    "shape",
    [
        Shape(2, 1, 1, 1, False),
        Shape(3, 1, 1, 1, True),
        Shape(2, 1, 1, 1, False, ms.MGDA().structure()),
    ],
    ids=["K=2", "K=3 with decay", "MGDA"],
)
def test_the_kernel_compiles_for_a_device_and_is_all_double_precision(shape: Shape) -> None:
    """As far as LLVM: the rest of the way needs NVIDIA's tools.

    The factors have one column. More would be more of the same and take longer.
    """
    import math

    from numba import cuda as numba_cuda
    from numba import types
    from numba.cuda.compiler import compile_cuda

    scope: dict[str, Any] = {"cuda": numba_cuda, "exp": math.exp, "sqrt": math.sqrt}
    exec(cuda._kernel_source(shape), scope)
    table = types.Array(types.float64, 2, "C")
    compiled = compile_cuda(scope["kernel"], types.void, (table, table, types.int64), cc=(9, 0))
    code = compiled.library.get_llvm_str()
    assert "fmul" in code
    assert "float " not in code


def test_without_a_device_or_numba_cuda_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba import cuda as numba_cuda

    problem = ms.generators.scalar_pair()
    cuda.advance.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(numba_cuda, "is_available", lambda: False)
        with pytest.raises(RuntimeError, match="needs an NVIDIA GPU"):
            simulate_ensemble(problem, ms.Vanilla(), steps=1, engine="cuda")
    with monkeypatch.context() as patch:
        patch.setattr(cuda, "find_spec", lambda _: None)
        with pytest.raises(ModuleNotFoundError, match=r"pip install mimo_sim\[cuda\]"):
            simulate_ensemble(problem, ms.Vanilla(), steps=1, engine="cuda")
    with monkeypatch.context() as patch:
        patch.setattr(numba_cuda, "is_available", lambda: True)
        with pytest.raises(ValueError, match="engine='cuda' serves runs"):
            simulate_ensemble(
                ms.generators.random_problem((5, 5), seed=0), ms.Vanilla(), steps=1, engine="cuda"
            )


def test_numba_cuda_is_not_imported_for_the_cpu() -> None:
    code = "import sys, mimo_sim.dynamics.ensemble.driver, mimo_sim.dynamics.ensemble.cuda\n"
    code += "print('numba_cuda' in sys.modules, 'numba.cuda' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    # The dev environment has it, so the test above means something.
    assert importlib.util.find_spec("numba_cuda") is not None
