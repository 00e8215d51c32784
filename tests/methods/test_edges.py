"""Hyper-parameters at the very ends of their ranges: what is allowed just there, and not beyond."""

from __future__ import annotations

from typing import Any

import pytest

from mimo_sim import methods
from mimo_sim.methods._windows import check_window, epochs_or_share, inside
from tests.methods.helpers import noisy_means, set_up

# Allowed from zero on; above zero; from zero to one; from zero, below one.
FROM_ZERO = {
    "agm": ("alpha",),
    "amco": ("p_max", "ramp"),
    "arl": ("gamma", "temperature"),
    "aug": ("mu", "lam", "threshold"),
    "cagrad": ("c",),
    "cggm": ("rho", "lam", "memory"),
    "cml": ("lam",),
    "data_remixing": ("weight", "gamma"),
    "dgl": ("alpha",),
    "di_mml": ("align", "contrast"),
    "g2d": ("logit_weight", "feature_weight"),
    "inforeg": ("beta",),
    "lfm": ("weight",),
    "linear_scalarization": ("weight",),
    "mbsd": ("lam",),
    "mimo": ("lam", "decay", "adaptive_mu"),
    "mlb": ("alpha",),
    "ogm": ("alpha",),
    "ogm_ge": ("alpha", "noise"),
    "opm": ("q_base", "lam", "p_exe"),
    "pmr": ("alpha", "momentum"),
    "reconboost": ("w2", "alpha"),
    "relearning": ("lam",),
    "smv": ("alpha",),
    "umt": ("lam",),
}
ABOVE_ZERO = {
    "agm": ("cap", "clip"),
    "amss": ("temperature",),
    "arl": ("clip",),
    "cggm": ("clip",),
    "dgl": ("clip",),
    "di_mml": ("temperature", "certainty"),
    "g2d": ("temperature",),
    "lfm": ("temperature", "scale"),
    "mimo": ("mu",),
    "mmcosine": ("scale",),
    "mmpareto": ("gamma",),
    "reconboost": ("rho",),
    "smv": ("subset",),
}
UP_TO_ONE = {
    "amco": ("p_max", "ramp"),
    "aug": ("mu", "lam"),
    "lfm": ("weight",),
    "opm": ("q_base", "p_exe"),
    "pmr": ("momentum",),
    "smv": ("subset",),
}
BELOW_ONE: dict[str, tuple[str, ...]] = {"cagrad": ("c",), "cggm": ("memory",), "mimo": ("decay",)}
COUNTS: dict[str, dict[str, int]] = {  # the least
    "arl": {"warm_up": 0},
    "aug": {"width": 1, "every": 1},
    "data_remixing": {"warm_up": 0},
    "di_mml": {"start": 0, "stage_two": 0},
    "g2d": {"release": 0, "epochs": 1},
    "g_blending": {"super_epoch": 1},
    "opm": {"warm_up": 0},
    "reconboost": {"own_epochs": 1, "joint_epochs": 0},
    "relearning": {"every": 1, "times": 0},
    "smv": {"warm_up": 0},
    "umt": {"epochs": 1},
}


def pairs(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(method, name) for method, names in table.items() for name in names]


def accepted(method: str, **hyper: Any) -> None:
    for name, value in hyper.items():
        assert methods.create(method, **hyper).hyper[name] == value


@pytest.mark.parametrize(("method", "name"), pairs(FROM_ZERO))
def test_zero_is_allowed_and_nothing_below(method: str, name: str) -> None:
    accepted(method, **{name: 0.0})
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        methods.create(method, **{name: -1e-9})


@pytest.mark.parametrize(("method", "name"), pairs(ABOVE_ZERO))
def test_zero_is_refused_and_a_little_is_allowed(method: str, name: str) -> None:
    accepted(method, **{name: 1e-9})
    with pytest.raises(ValueError, match=f"`{name}` must be finite and > 0"):
        methods.create(method, **{name: 0.0})


@pytest.mark.parametrize(("method", "name"), pairs(UP_TO_ONE))
def test_one_is_allowed_and_nothing_above(method: str, name: str) -> None:
    accepted(method, **{name: 1.0})
    with pytest.raises(ValueError, match=f"`{name}` must be in .*1]"):
        methods.create(method, **{name: 1 + 1e-9})


@pytest.mark.parametrize(("method", "name"), pairs(BELOW_ONE))
def test_one_is_refused_and_a_little_less_is_allowed(method: str, name: str) -> None:
    accepted(method, **{name: 1 - 1e-9})
    with pytest.raises(ValueError, match=rf"`{name}` must be in .*1\)"):
        methods.create(method, **{name: 1.0})


@pytest.mark.parametrize(
    ("method", "name", "least"),
    [(method, name, least) for method, of in COUNTS.items() for name, least in of.items()],
)
def test_counts_have_a_least(method: str, name: str, least: int) -> None:
    accepted(method, **{name: least})
    with pytest.raises(ValueError, match=f"`{name}` must be >= {least}"):
        methods.create(method, **{name: least - 1})


def test_equal_weights_and_the_least_bound() -> None:
    accepted("reconboost", w1=2.0, w2=2.0)
    accepted("reconboost", w1=0.0, w2=0.0)
    accepted("mlb", beta=1.0)
    with pytest.raises(ValueError, match="`beta` must be >= 1"):
        methods.create("mlb", beta=1 - 1e-9)
    with pytest.raises(ValueError, match="`w2` must be <= `w1`"):
        methods.create("reconboost", w1=2.0, w2=2.0 + 1e-9)
    for method, names in {"reconboost": ("w1",), "g_blending": ("weights",)}.items():
        for name in names:
            wrong: Any = (-1e-9, 1.0, 1.0) if name == "weights" else -1e-9
            with pytest.raises(ValueError, match=f"`{name}` must be finite and >= 0"):
                methods.create(method, **{name: wrong})
    assert methods.create("g_blending", weights=[0.0, 0.0, 1.0]).hyper["weights"] == (0, 0, 1)


def test_windows_are_pairs_in_order() -> None:
    assert check_window(None) is None
    assert check_window([0, 0]) == (0, 0)
    assert check_window((3, 7)) == (3, 7)
    for wrong, error in (((1, 0), ValueError), ((0, -1), ValueError), ((-1, 0), ValueError)):
        with pytest.raises(error, match="`window"):
            check_window(wrong)
    for wrong_kind in ((1,), (1, 2, 3), "01", 5):
        with pytest.raises(TypeError, match="`window` must be None or"):
            check_window(wrong_kind)  # type: ignore[arg-type]
    assert [inside((2, 2), epoch) for epoch in (1, 2, 3)] == [False, True, False]


@pytest.mark.parametrize(("epochs", "warm_up"), [(60, 5), (30, 2), (12, 1), (6, 0), (7, 1)])
def test_the_published_share_of_a_run_is_rounded(epochs: int, warm_up: int) -> None:
    """SMV begins after 5 of 60 epochs: 30 epochs give 2.5, and Python rounds that to 2."""
    run = set_up(methods.create("smv"), noisy_means())
    run.num_epochs = epochs
    assert epochs_or_share(None, run, 5 / 60) == warm_up
    assert epochs_or_share(4, run, 5 / 60) == 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.method, "_sample_level", _never)
        for run.epoch in range(warm_up):
            assert run.method.samples(run) is None
        run.epoch = warm_up
        with pytest.raises(AssertionError, match="measured"):
            run.method.samples(run)


def _never(run: object) -> None:
    raise AssertionError("measured")
