"""Teeth: every planted fault is noticed by the claims it names, which are quiet without it."""

from __future__ import annotations

import pytest

from paper_checks.caches import clear_caches
from paper_checks.faults import FAULTS, Fault, noticed
from paper_checks.runner import discover, run_claim

pytestmark = pytest.mark.usefixtures("dynamic_sizes")
DRAWS = 40  # fewer than usual: a fault shows in most cases


# Seconds for each draw. The tests of the faults and of the verdicts run these too.
LONG = ("bottleneck-price", "largest-waiting-gap-leads", "landscape-no-bad-minima")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in LONG))
        for name in sorted({name for fault in FAULTS for name in fault.caught_by})
    ],
)
def test_a_claim_is_quiet_without_a_fault(name: str) -> None:
    clear_caches()
    row = run_claim(discover()[name], DRAWS)
    assert row.as_recorded, row.evidence.words


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            fault, id=fault.id, marks=[pytest.mark.slow] * bool({*fault.caught_by} & {*LONG})
        )
        for fault in FAULTS
    ],
)
def test_a_planted_fault_is_noticed(fault: Fault) -> None:
    assert fault.caught_by, "a fault nobody is named for"
    assert noticed(fault, fault.caught_by, DRAWS) == list(fault.caught_by)


def test_there_are_many_faults_and_they_leave_nothing_behind() -> None:
    assert len({fault.id for fault in FAULTS}) == len(FAULTS) >= 20
    for fault in FAULTS:
        with fault.plant():
            pass
    clear_caches()
    assert run_claim(discover()["smoothed-maximum-gradient"], DRAWS).as_recorded
