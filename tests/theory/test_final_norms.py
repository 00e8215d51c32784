"""The conserved quantity and the final norms of encoders against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import mimo_sim as ms
from mimo_sim import theory
from mimo_sim.solvers import Solver
from mimo_sim.testing import eighths, initial_weights, mimo_methods, problems
from tests.theory.shared import FIGURE_1

pytestmark = pytest.mark.usefixtures("dynamic_sizes")


@given(st.data())
def test_flow_conserves_the_balance(data: st.DataObject) -> None:
    problem = data.draw(problems())
    method = data.draw(
        st.just(ms.Vanilla())
        | mimo_methods(f_star=st.sampled_from(("exact", "zero")), heads=st.just("gradient"))
    )
    weights = data.draw(initial_weights(problem))
    balance = theory.conserved_quantity(
        ms.simulate(problem, method, initial=weights, steps=20, step_size=0.05, engine="flow")
    )
    assert balance.dims == ("step", "modality")
    constant = np.broadcast_to(balance[0], balance.shape)
    # LSODA at rtol 1e-10, some 1e3 steps
    np.testing.assert_allclose(balance, constant, rtol=0, atol=1e-6)


@given(st.data())
def test_gradient_descent_drifts_by_the_square_of_the_step(data: st.DataObject) -> None:
    """In one step the term linear in eta cancels; the quadratic one is all there is.

    So drift / eta^2 does not depend on eta.
    """
    problem = data.draw(problems())
    method = data.draw(
        st.just(ms.Vanilla())
        | mimo_methods(num_modalities=problem.num_modalities, heads=st.just("gradient"))
    )
    weights = data.draw(initial_weights(problem))
    drifts = []
    for eta in (1e-2, 1e-3):
        balance = theory.conserved_quantity(
            ms.simulate(problem, method, initial=weights, steps=1, step_size=eta)
        ).values
        drifts.append((balance[1] - balance[0]) / eta**2)
    size = 1 + np.abs(drifts[0]).max()
    # round-off 1e-15 of the norms over eta^2 = 1e-6
    np.testing.assert_allclose(drifts[0], drifts[1], rtol=0, atol=1e-8 * size)


def test_the_drift_adds_up_to_first_order() -> None:
    drifts, counts = [], np.array([250, 500, 1000, 2000])
    for n in counts:
        run = ms.simulate(
            FIGURE_1,
            ms.MIMO(lam=2.0, mu=0.25),
            steps=int(n),
            step_size=5.0 / n,
            width=8,
            init_scale=0.3,
        )
        balance = theory.conserved_quantity(run)
        drifts.append(float(np.abs(balance - balance[0]).max()))
    slope = np.polyfit(np.log(5.0 / counts), np.log(drifts), 1)[0]
    assert abs(slope - 1) < 0.15  # n steps of eta^2; the next order adds some eta |A| < 0.1


@pytest.mark.parametrize(
    "method", [ms.MIMO(lam=4.0, mu=0.25, heads="plain"), ms.Vanilla(heads="plain")], ids=repr
)
def test_plain_heads_conserve_nothing(method: Solver) -> None:
    run = ms.simulate(
        FIGURE_1, method, engine="flow", steps=20, step_size=0.2, width=8, init_scale=0.3
    )
    balance = theory.conserved_quantity(run)
    assert np.abs(balance[-1] - balance[0]).max() > 0.1  # of norms of order one


@given(st.data())
def test_final_norms(data: st.DataObject) -> None:
    """The law against runs that have converged.

    The drift of gradient descent moves the balance by O(eta), so two step sizes are extrapolated
    to zero.
    """
    problem = data.draw(problems())
    method = data.draw(
        st.just(ms.Vanilla())
        | mimo_methods(lam=eighths(1, 32), mu=eighths(2, 16), heads=st.just("gradient"))
    )
    predicted = theory.final_encoder_norms(problem, method)
    assert predicted.shape == (problem.num_modalities,)
    eta, finals = theory.default_step_size(problem, method), []
    for parts in (1, 2):
        run = ms.simulate(
            problem,
            method,
            step_size=eta / parts,
            steps=20_000 * parts,
            width=math.inf,
            init_scale=1e-5,
            record_every=20_000 * parts,
        )
        assume(run.excess_mm[-1] < 1e-12 and run.grad_norm_sq[-1] < 1e-16)
        finals.append(run.encoder_norm.values[-1] ** 2)
    extrapolated = 2 * finals[1] - finals[0]
    # O(eta^2) is left; the first order was some 1e-3
    np.testing.assert_allclose(extrapolated, predicted**2, rtol=0, atol=2e-4 * predicted.max() ** 2)


def test_final_norms_known_by_hand() -> None:
    maps = np.array([math.sqrt(0.72) / 3, math.sqrt(1.28)])
    np.testing.assert_allclose(
        theory.final_encoder_norms(FIGURE_1, ms.Vanilla()) ** 2, maps, rtol=1e-12
    )
    # N = M for independent inputs
    np.testing.assert_allclose(
        theory.final_encoder_norms(FIGURE_1, ms.MIMO()) ** 2, math.sqrt(2) * maps, rtol=1e-12
    )
    np.testing.assert_allclose(
        theory.final_encoder_norms(FIGURE_1, ms.MIMO(lam=0.0)), np.sqrt(maps), rtol=1e-12
    )
    np.testing.assert_allclose(
        theory.final_encoder_norms(FIGURE_1, ms.MIMO(lam=0.0, heads="plain")),
        np.sqrt(maps),
        rtol=1e-12,
    )
