"""Methods that weigh gradients (MMPareto, MGDA, PCGrad, CAGrad), drop, alternate, resample or re-initialise (OPM, MLA, SMV, Re-learning)."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from mimo_sim import methods
from mimo_sim.datasets._data import Dataset, Modality, Split
from mimo_sim.methods._base import Method
from mimo_sim.methods._pareto import block_gramian
from mimo_sim.methods._shapley import coalitions, shapley
from mimo_sim.methods.cagrad import cagrad_weights
from mimo_sim.methods.mgda import MGDA, min_norm_weights
from mimo_sim.methods.mla import entropy_weights, shrink_projector
from mimo_sim.methods.mmpareto import mmpareto_weights
from mimo_sim.methods.opm import drop_rates
from mimo_sim.methods.pcgrad import pcgrad_weights
from mimo_sim.methods.relearning import purity
from mimo_sim.methods.smv import SMV, copies
from mimo_sim.training import Settings, TrainingRun

WEIGHTINGS: dict[str, Any] = {
    "mgda": min_norm_weights,
    "pcgrad": pcgrad_weights,
    "cagrad": cagrad_weights,
    "mmpareto": mmpareto_weights,
}
entries = st.floats(-10, 10).map(lambda value: round(value, 3))  # no squares that underflow
MINE: list[tuple[str, dict[str, Any]]] = [
    ("mmpareto", {}),
    ("mgda", {}),
    ("mgda", {"scope": "global"}),
    ("mgda", {"normalisation": "loss+"}),
    ("pcgrad", {"scope": "global"}),
    ("cagrad", {}),
    ("opm", {"warm_up": 1}),
    ("mla", {}),
    ("mla", {"projection": "run"}),
    ("smv", {"warm_up": 1}),
    ("smv", {"warm_up": 1, "level": "modality", "subset": 0.5}),
    ("relearning", {"every": 1}),
]
IDS = [" ".join([name, *map(str, hyper.values())]) for name, hyper in MINE]


def gradients(m: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(float, (m, 5), elements=entries)


def gram_of(rows: np.ndarray) -> Tensor:
    return torch.from_numpy(rows @ rows.T)


def tiny(
    modalities: int = 2, shape: tuple[int, ...] = (6,), noise: float = 0.7, classes: int = 3
) -> Dataset:
    """Class means plus noise, the first modality clearer than the others."""
    rng = np.random.default_rng(0)
    means = rng.standard_normal((modalities, classes, *shape))

    def split(n: int) -> Split:
        target = np.arange(n) % classes
        views = [
            mean[target] + noise * (k + 1) * rng.standard_normal((n, *shape))
            for k, mean in enumerate(means)
        ]
        return Split(
            tuple(torch.from_numpy(x.astype(np.float32)) for x in views), torch.from_numpy(target)
        )

    names = tuple(Modality(f"m{k}", shape) for k in range(modalities))
    return Dataset(
        "tiny", names, split(48), split(24), split(24), classes=tuple(map(str, range(classes)))
    )


def start(method: Method, dataset: Dataset, **settings: Any) -> Any:
    """A TrainingRun that is set up but has not trained."""
    run = TrainingRun(
        method,
        dataset,
        Settings(**{"epochs": 3, "batch_size": 16, "width": 8, "probes": False} | settings),
    )
    run.method.setup(run)
    run.optimizer = run.new_optimizer([run.model, run.method])
    return run


def fitted(method: Method, dataset: Dataset, **settings: Any) -> TrainingRun:
    run = TrainingRun(
        method,
        dataset,
        Settings(**{"epochs": 3, "batch_size": 16, "width": 8, "probes": False} | settings),
    )
    run.fit()
    return run


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def explicit_gradients(run: TrainingRun, model: nn.Module, loss: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(
        loss, list(model.parameters()), retain_graph=True, allow_unused=True
    )
    return [
        torch.zeros_like(p) if g is None else g
        for p, g in zip(model.parameters(), found, strict=True)
    ]


# -- least-norm weights ---------------------------------------------------------------------------------------------------------------
@given(st.integers(2, 5).flatmap(gradients))
def test_least_norm_is_a_common_descent_direction(rows: np.ndarray) -> None:
    weights = min_norm_weights(gram_of(rows)).numpy()
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, rel=1e-12)
    v = weights @ rows
    # v . g_m >= |v|^2 for all m is necessary and sufficient for the least norm; the slack is rounding of the Gramian's squares.
    assert (rows @ v >= v @ v - 1e-5 * (rows * rows).sum(1).max()).all()
    assert v @ v <= (rows * rows).sum(1).min() * (1 + 1e-9) + 1e-9


@given(gradients(2))
def test_least_norm_of_two_agrees_with_torchjd(rows: np.ndarray) -> None:
    from torchjd.aggregation import MGDAWeighting

    gram = gram_of(rows)
    theirs = MGDAWeighting(epsilon=1e-9, max_iters=3)(gram).numpy() @ rows
    np.testing.assert_allclose(
        min_norm_weights(gram).numpy() @ rows, theirs, atol=1e-6 * np.abs(rows).max(initial=1)
    )


def test_least_norm_of_orthogonal_and_opposite_gradients() -> None:
    orthogonal = min_norm_weights(torch.diag(torch.tensor([1.0, 9.0], dtype=torch.float64)))
    assert orthogonal.tolist() == pytest.approx([0.9, 0.1], rel=1e-12)
    opposite = np.array([[1.0, 2.0], [-1.0, -2.0]])
    assert np.abs(min_norm_weights(gram_of(opposite)).numpy() @ opposite).max() == 0


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((3, 2)),
        np.zeros((3, 2)),
        np.array([[1.0, 0], [0, 0], [0, 2]]),
        np.array([[1.0, 0], [1, 0], [-1, 0]]),
    ],
)
def test_least_norm_of_three_dependent_gradients(rows: np.ndarray) -> None:
    v = min_norm_weights(gram_of(rows)).numpy() @ rows
    expected = np.ones(2) if rows.all() else np.zeros(2)
    np.testing.assert_allclose(v, expected, atol=1e-6)


# -- projection -----------------------------------------------------------------------------------------------------------------------
@given(gradients(2))
def test_projection_of_two_agrees_with_torchjd_and_never_conflicts(rows: np.ndarray) -> None:
    from torchjd.aggregation import PCGradWeighting

    gram = gram_of(rows)
    weights = pcgrad_weights(gram)
    torch.testing.assert_close(weights, PCGradWeighting()(gram), rtol=1e-9, atol=0)
    assert (rows @ (weights.numpy() @ rows) >= -1e-9 * (rows * rows).sum()).all()
    if gram[0, 1] >= 0:
        assert weights.tolist() == [1, 1]


def project(rows: np.ndarray, order: tuple[tuple[int, ...], ...]) -> np.ndarray:
    total = np.zeros(rows.shape[1])
    for i, others in enumerate(order):
        g = rows[i].copy()
        for j in others:
            if g @ rows[j] < 0:
                g -= g @ rows[j] / (rows[j] @ rows[j]) * rows[j]
        total += g
    return total


@given(gradients(3), st.integers(0, 99))
def test_projection_of_three_is_that_of_some_order(rows: np.ndarray, seed: int) -> None:
    orders = itertools.product(
        *([*itertools.permutations([j for j in range(3) if j != i])] for i in range(3))
    )
    possible = np.array([project(rows, order) for order in orders])
    found = pcgrad_weights(gram_of(rows), torch.Generator().manual_seed(seed)).numpy() @ rows
    assert np.abs(possible - found).max(axis=1).min() <= 1e-6 * np.abs(rows).max(initial=1)


def test_projection_draws_every_order_and_only_from_its_generator() -> None:
    rows = np.array([[1.0, 0, 0], [-1, 1, 0], [-1, -0.5, 1]])
    before = torch.get_rng_state()
    generator = torch.Generator().manual_seed(0)
    seen = {tuple(np.round(pcgrad_weights(gram_of(rows), generator).numpy(), 9)) for _ in range(60)}
    orders = itertools.product(
        *([*itertools.permutations([j for j in range(3) if j != i])] for i in range(3))
    )
    assert len(seen) == len({tuple(np.round(project(rows, order), 9)) for order in orders}) > 1
    assert torch.equal(before, torch.get_rng_state())


# -- conflict-averse ------------------------------------------------------------------------------------------------------------------
@given(gradients(2), st.floats(0, 0.99))
def test_conflict_averse_direction_is_optimal(rows: np.ndarray, c: float) -> None:
    gram = gram_of(rows)
    g0 = rows.mean(0)
    radius = c * np.linalg.norm(g0)
    d = cagrad_weights(gram, c).numpy() @ rows
    size = np.linalg.norm(rows) + 1e-12
    assert np.linalg.norm(d - g0) <= radius * (1 + 1e-6) + 1e-9
    w = np.linspace(0, 1, 1001)[:, None]
    mixed = w * rows[0] + (1 - w) * rows[1]
    dual = (
        mixed @ g0 + radius * np.linalg.norm(mixed, axis=1)
    ).min()  # strong duality: the best worst-case improvement
    assert (rows @ d).min() >= dual - 1e-6 * size**2


def test_conflict_averse_special_cases() -> None:
    one = torch.eye(2, dtype=torch.float64)
    assert cagrad_weights(one, 0.5).tolist() == pytest.approx([0.75, 0.75], rel=1e-12)
    assert cagrad_weights(one, 0).tolist() == [0.5, 0.5]
    unequal = np.array([[3.0, 0], [-1, 0]])  # g0 = (1, 0): as near to zero as the ball allows
    assert cagrad_weights(gram_of(unequal), 0.5).numpy() @ unequal == pytest.approx(
        [0.5, 0], rel=1e-12
    )
    vanished = np.array([[2.0, 0], [0, 0]])
    assert cagrad_weights(gram_of(vanished), 0.5).numpy() @ vanished == pytest.approx(
        [1, 0], rel=1e-12
    )  # the live gradient is kept


# -- MMPareto -------------------------------------------------------------------------------------------------------------------------
@given(gradients(2), st.floats(0.1, 3))
def test_mmpareto_keeps_direction_and_length(rows: np.ndarray, gamma: float) -> None:
    u, g = rows
    gram = gram_of(rows)
    weights = mmpareto_weights(gram, gamma)
    assert torch.isfinite(weights).all()
    d = weights.numpy() @ rows
    if u @ g > 0:
        assert weights.tolist() == [gamma, gamma]
        return
    assert np.linalg.norm(d) >= gamma * np.linalg.norm(u + g) * (1 - 1e-6)
    v = min_norm_weights(gram).numpy() @ rows
    if v @ v > 1e-5 * (rows * rows).sum():
        assert min(d @ u, d @ g) >= 0
        assert d @ v == pytest.approx(np.linalg.norm(d) * np.linalg.norm(v), rel=1e-9)


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize(
    "rows",
    [
        ((0, 0), (0, 0)),
        ((1, 2), (0, 0)),
        ((0, 0), (1, 2)),
        ((1, 2), (1, 2)),
        ((1, 2), (-1, -2)),
        ((1, 2), (-2, -4)),
        ((1, 0), (-1e-12, 1)),
    ],
)
def test_degenerate_gradients_give_finite_directions(name: str, rows: Any) -> None:
    weights = WEIGHTINGS[name](gram_of(np.array(rows, float)))
    assert torch.isfinite(weights).all()
    live = [row for row in rows if any(row)]
    if len(live) == 1 and name != "mgda":  # a vanished gradient must not stop the other
        factor = {"mmpareto": 1.5, "pcgrad": 1.0, "cagrad": 0.5}[name]
        np.testing.assert_allclose(
            weights.numpy() @ np.array(rows, float), factor * np.array(live[0], float), rtol=1e-9
        )


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_weights_come_in_batches(name: str) -> None:
    rows = np.random.default_rng(1).standard_normal((4, 2, 5))
    grams = torch.from_numpy(rows @ rows.transpose(0, 2, 1))
    torch.testing.assert_close(
        WEIGHTINGS[name](grams),
        torch.stack([WEIGHTINGS[name](gram) for gram in grams]),
        rtol=1e-12,
        atol=0,
    )


# -- in a network ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("modalities", [2, 3])
@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("mmpareto", {"gamma": 1.2}),
        ("mgda", {}),
        ("mgda", {"scope": "global"}),
        ("pcgrad", {}),
        ("pcgrad", {"scope": "global"}),
        ("cagrad", {"rescale": "none"}),
    ],
)
def test_a_step_weighs_the_true_gradients(
    name: str, hyper: dict[str, Any], modalities: int
) -> None:
    run = start(methods.create(name, **hyper), tiny(modalities))
    batch = next(iter(run.batches()))
    state = run.generator.get_state()
    out = run.method.forward_pass(run, batch)
    joint = explicit_gradients(run, run.model, out.loss)
    own = [explicit_gradients(run, run.model, loss) for loss in out.head_losses]
    run.method.backward(run, out)
    names = [key for key, _ in run.model.named_parameters()]
    flat = np.array(
        [
            np.concatenate(
                [
                    g.numpy().ravel()
                    for key, g in zip(names, parts, strict=True)
                    if key.startswith("encoders")
                ]
            )
            for parts in (joint, *own)
        ]
    )
    run.generator.set_state(state)
    for i, (key, parameter) in enumerate(run.model.named_parameters()):
        if key.startswith("fusion"):
            expected = joint[i]
        elif key.startswith("heads"):
            expected = own[int(key.split(".")[1])][i]
        else:
            k = int(key.split(".")[1])
            inside = [j for j, other in enumerate(names) if other.startswith(f"encoders.{k}.")]
            pair = np.array(
                [
                    np.concatenate([parts[j].numpy().ravel() for j in inside])
                    for parts in (joint, own[k])
                ],
                float,
            )
            rows = flat.astype(float) if hyper.get("scope") == "global" else pair
            run.generator.set_state(state)
            gram = gram_of(rows)
            weight = (
                pcgrad_weights(gram, run.generator)
                if name == "pcgrad"
                else mmpareto_weights(gram, 1.2)
                if name == "mmpareto"
                else WEIGHTINGS[name](gram)
            )
            expected = (
                weight[0] * joint[i]
                + weight[1 + k if hyper.get("scope") == "global" else 1] * own[k][i]
            )
        torch.testing.assert_close(parameter.grad, expected.float(), rtol=1e-4, atol=1e-7)


def test_the_global_gramian_is_that_of_concatenated_gradients() -> None:
    rng = np.random.default_rng(0)
    sizes = (4, 5, 3)
    pairs = [rng.standard_normal((2, n)) for n in sizes]
    rows = np.zeros((4, sum(sizes)))
    rows[0] = np.concatenate([pair[0] for pair in pairs])
    for k, place in enumerate(np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])):
        rows[k + 1, place] = pairs[k][1]
    torch.testing.assert_close(
        block_gramian(torch.stack([gram_of(pair) for pair in pairs])), gram_of(rows)
    )


def test_without_conflict_mmpareto_and_pcgrad_are_linear_scalarization() -> None:
    reference = methods.create("linear_scalarization")
    runs = [
        start(method, tiny(noise=0.1))
        for method in (reference, methods.create("mmpareto", gamma=1.0), methods.create("pcgrad"))
    ]
    for run in runs:
        for block, head in zip(run.model.weight_blocks(), run.model.heads, strict=True):
            head.weight.data.copy_(
                block.detach()
            )  # the joint and the uni-modal losses now want the same of the encoders
        for batch in list(run.batches())[:3]:
            run.method.step(run, batch)
    for run in runs[1:]:
        assert run.method.report() == {"weight_joint": [1, 1], "weight_unimodal": [1, 1]}
        for a, b in zip(run.model.parameters(), runs[0].model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_mgda_normalisation_undoes_a_change_of_scale() -> None:
    gram = gram_of(np.array([[1.0, 2, 0], [100, -50, 30]]))
    losses = torch.tensor([0.5, 2.0], dtype=torch.float64)
    s = torch.tensor([1.0, 7.0], dtype=torch.float64)
    method = MGDA(normalisation="l2")
    torch.testing.assert_close(
        method.weights(gram * s[:, None] * s, losses) * s, method.weights(gram, losses)
    )
    by_loss = MGDA(normalisation="loss").weights(gram, losses)
    assert (by_loss * losses).sum() == pytest.approx(1)


# -- all of them ----------------------------------------------------------------------------------------------------------------------
class StopError(Exception):
    pass


@pytest.mark.parametrize(("name", "hyper"), MINE, ids=IDS)
def test_same_seed_same_bytes_and_a_stopped_run_continues(
    name: str, hyper: dict[str, Any], tmp_path: Path
) -> None:
    dataset = tiny(3)
    whole = fitted(methods.create(name, **hyper), dataset)
    assert len(whole.table) == 3

    def stop(_: int) -> None:
        if len(stopped.table) == 2:
            raise StopError

    torch.manual_seed(12345)  # the global stream must not matter
    stopped = TrainingRun(methods.create(name, **hyper), dataset, whole.settings)
    with pytest.raises(StopError):
        stopped.fit(tmp_path, stop)
    again = TrainingRun(methods.create(name, **hyper), dataset, whole.settings)
    again.fit(tmp_path)
    assert same(whole.model, again.model)
    assert same(whole.method, again.method)
    tables = [
        [{key: value for key, value in row.items() if key != "seconds"} for row in run.table]
        for run in (whole, again)
    ]
    assert repr(tables[0]) == repr(tables[1])


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("opm", {"q_base": 0.0}),
        ("opm", {"p_exe": 0.0}),
        ("opm", {"warm_up": 3}),
        ("smv", {"warm_up": 3}),
        ("smv", {"level": "modality", "alpha": 0.0, "warm_up": 0}),
        ("relearning", {"lam": 0.0, "every": 1}),
        ("relearning", {"times": 0, "every": 1}),
    ],
)
def test_switched_off_is_vanilla_bit_for_bit(name: str, hyper: dict[str, Any]) -> None:
    dataset = tiny()
    assert same(
        fitted(methods.create("vanilla"), dataset).model,
        fitted(methods.create(name, **hyper), dataset).model,
    )


@pytest.mark.parametrize(
    ("name", "hyper", "words"),
    [
        ("mmpareto", {"gamma": 0.0}, "`gamma` must be finite and > 0"),
        (
            "mgda",
            {"scope": "local"},
            "`scope` must be one of .*'encoder', 'global'.* Got scope='local'",
        ),
        ("mgda", {"normalisation": "l1"}, "`normalisation` must be one of .*'loss\\+'"),
        ("pcgrad", {"scope": "all"}, "`scope` must be one of"),
        ("cagrad", {"c": 1.0}, r"`c` must be in \[0, 1\). Got c=1.0"),
        ("cagrad", {"rescale": "half"}, "`rescale` must be one of"),
        ("opm", {"q_base": 1.5}, r"`q_base` must be in \[0, 1\]"),
        ("opm", {"p_exe": -0.1}, "`p_exe` must be finite and >= 0"),
        ("opm", {"warm_up": -1}, "`warm_up` must be >= 0"),
        ("mla", {"projection": "on"}, "`projection` must be one of"),
        ("mla", {"fusion": "max"}, "`fusion` must be one of"),
        ("smv", {"level": "batch"}, "`level` must be one of"),
        ("smv", {"shape": "cube"}, "`shape` must be one of"),
        ("smv", {"subset": 1.1}, r"`subset` must be in \(0, 1\]"),
        ("relearning", {"lam": -1.0}, "`lam` must be finite and >= 0"),
        ("relearning", {"every": 0}, "`every` must be >= 1"),
    ],
)
def test_hyper_parameters_outside_their_range_are_refused(
    name: str, hyper: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        methods.create(name, **hyper)


@pytest.mark.parametrize("name", ["opm", "mla", "smv", "relearning"])
def test_methods_for_classes_refuse_regression(name: str) -> None:
    given_ = tiny()
    splits = [
        Split(s.inputs, torch.randn(len(s), 2))
        for s in (given_.train, given_.validation, given_.test)
    ]
    with pytest.raises(ValueError, match=name):
        start(
            methods.create(name),
            Dataset("line", given_.modalities, splits[0], splits[1], splits[2], task="regression"),
        )


def test_gradient_methods_work_on_regression() -> None:
    given_ = tiny()
    splits = [
        Split(s.inputs, nn.functional.one_hot(s.target, 3).float())
        for s in (given_.train, given_.validation, given_.test)
    ]
    run = fitted(
        methods.create("mmpareto"),
        Dataset("line", given_.modalities, splits[0], splits[1], splits[2], task="regression"),
    )
    assert run.table[-1]["train_loss"] < run.table[0]["train_loss"]


# -- OPM ------------------------------------------------------------------------------------------------------------------------------
def test_drop_rates() -> None:
    assert drop_rates(torch.tensor([0.4, 0.4]), 0.5, 0.5).tolist() == [0, 0]
    rates = drop_rates(torch.tensor([20.0, 10.0]), 0.4, 0.5)
    assert rates.tolist() == pytest.approx([0.4 * (1 + 0.5 * np.tanh(1)), 0])
    assert drop_rates(torch.tensor([1.0, 0.0]), 0.9, 5.0).tolist() == [
        1,
        0,
    ]  # clipped, no division by zero
    assert (drop_rates(torch.tensor([0.9, 0.5, 0.1]), 0.5, 0.5) > 0).tolist() == [
        True,
        False,
        False,
    ]


def test_dropped_features_are_zero_and_kept_ones_rescaled() -> None:
    run = start(methods.create("opm", p_exe=1.0, warm_up=0), tiny(noise=0.1))
    with torch.no_grad():
        run.model.weight_blocks()[0].mul_(50)  # modality 0 dominates
    batch = next(iter(run.batches()))
    features = [h.detach() for h in run.model.features(batch.inputs)]
    sliced = [a.detach() for a in run.model.sliced(features)]
    scores = torch.stack([a.softmax(1).gather(1, batch.target[:, None]).mean() for a in sliced])
    rates = drop_rates(scores, 0.5, 0.5)
    rates = rates if rates.any() else pytest.fail("no modality leads")
    total = torch.zeros(2)
    for _ in range(400):
        changed, weight = run.method.features(run, features, batch)
        ratio = [(new / old)[old != 0] for new, old in zip(changed, features, strict=True)]
        scale = 1 / (1 - float(rates.mean()))
        assert all(torch.isclose(r, torch.tensor(scale)).logical_or(r == 0).all() for r in ratio)
        assert weight is not None
        assert weight.tolist() == [
            float(any(h[i].any() for h in changed)) for i in range(len(weight))
        ]
        total += torch.stack([r.mean() for r in ratio]) / 400
    expected = (1 - rates) / (1 - rates.mean())
    torch.testing.assert_close(
        total, expected, rtol=0.1, atol=0
    )  # 6400 draws: five standard errors are under 7 %


def test_opm_sends_no_gradient_through_its_scores_and_skips_batches() -> None:
    run = start(methods.create("opm", p_exe=0.5, warm_up=0, q_base=1.0), tiny(noise=0.1))
    batch = next(iter(run.batches()))
    kinds = set()
    for _ in range(20):
        features = [h.detach().requires_grad_() for h in run.model.features(batch.inputs)]
        changed, _ = run.method.features(run, features, batch)
        torch.autograd.backward(torch.stack([h.sum() for h in changed]).sum())
        kinds.add(all(torch.equal(h, old) for h, old in zip(changed, features, strict=True)))
        assert all(
            len(h.grad.unique()) <= 2 for h in features if h.grad is not None
        )  # zero or one over (1 - mean rate), nothing else
    assert kinds == {True, False}


# -- MLA ------------------------------------------------------------------------------------------------------------------------------
@given(arrays(float, 4, elements=entries), arrays(float, 4, elements=entries), st.floats(1e-3, 1))
def test_projector_shrinks_along_what_it_has_seen(
    first: np.ndarray, second: np.ndarray, alpha: float
) -> None:
    P = shrink_projector(torch.eye(4, dtype=torch.float64), torch.from_numpy(first), alpha)
    r = torch.from_numpy(second)
    new = shrink_projector(P, r, alpha)
    torch.testing.assert_close(new, new.T)
    assert torch.linalg.eigvalsh(new).min() > -1e-9
    torch.testing.assert_close(new @ r, P @ r * alpha / (alpha + r @ P @ r), rtol=1e-6, atol=1e-9)


def test_a_projector_for_alpha_zero_forgets_the_direction() -> None:
    r = torch.tensor([3.0, 4.0, 0.0], dtype=torch.float64)
    assert (shrink_projector(torch.eye(3, dtype=torch.float64), r, 1e-14) @ r).norm() < 1e-12


def test_entropy_weights_favour_the_certain_modality() -> None:
    logits = torch.tensor([[[0.0, 0.0], [9.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])
    weights = entropy_weights(logits)
    assert weights[:, 0].tolist() == [0.5, 0.5]
    assert weights[0, 1] > weights[1, 1]
    torch.testing.assert_close(weights.sum(0), torch.ones(2))
    assert torch.isfinite(entropy_weights(torch.tensor([[[1e4, 0.0]], [[0.0, 1e4]]]))).all()


def test_mla_without_projection_is_plain_alternation() -> None:
    run = start(methods.create("mla"), tiny(3))
    model = copy.deepcopy(run.model)
    head = model.heads[0]
    optimizer = run.new_optimizer([model])
    for batch in [next(iter(run.batches())) for _ in range(2)]:
        for encoder, x in zip(model.encoders, batch.inputs, strict=True):
            optimizer.zero_grad()
            run.loss_function(head(encoder(x)), batch.target).backward()
            optimizer.step()
        run.method.step(run, batch)
    assert same(model, run.model)
    assert not torch.equal(model.heads[0].weight, model.heads[1].weight)


@pytest.mark.parametrize("projection", ["batch", "run"])
def test_mla_keeps_later_modalities_off_what_earlier_ones_use(projection: Any) -> None:
    settings: dict[str, Any] = {"momentum": 0.0, "weight_decay": 0.0, "lr": 0.1}
    run, plain = (
        start(methods.create("mla", projection=kind), tiny(2), **settings)
        for kind in (projection, "off")
    )
    first = copy.deepcopy(plain.model)
    for one in (run, plain):
        one.method.batch_of_epoch = 9 * one.batches_per_epoch  # alpha = 1e-10: a clean projection
    batch = next(iter(run.batches()))
    out = run.method.step(run, batch)
    plain.method.step(plain, batch)
    optimizer = torch.optim.SGD(first.parameters(), lr=0.1)
    run.loss_function(first.heads[0](first.encoders[0](batch.inputs[0])), batch.target).backward()
    optimizer.step()
    r = out.features[0].mean(0)  # what the second step must not change
    along = [model.heads[0].weight.detach() @ r for model in (first, run.model, plain.model)]
    torch.testing.assert_close(along[1], along[0], rtol=1e-4, atol=1e-6)
    assert not torch.allclose(along[2], along[0], rtol=1e-2)


def test_mla_needs_one_width() -> None:
    run = TrainingRun(methods.create("mla"), tiny(), Settings(epochs=1))
    run.model.widths = (8, 9)
    with pytest.raises(ValueError, match=r"one width. Got widths \(8, 9\)"):
        run.method.setup(run)


# -- SMV and Shapley ------------------------------------------------------------------------------------------------------------------
@given(arrays(float, (3, 8), elements=entries))
def test_shapley_values_share_out_everything(values: np.ndarray) -> None:
    phi = shapley(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(phi.sum(1), values[:, -1] - values[:, 0], atol=1e-9)
    columns = {kept: i for i, kept in enumerate(coalitions(3))}
    swapped = values[
        :, [columns[tuple(sorted({0: 1, 1: 0, 2: 2}[k] for k in kept))] for kept in columns]
    ]
    np.testing.assert_allclose(
        shapley(torch.from_numpy(swapped)).numpy(), phi[:, [1, 0, 2]], atol=1e-9
    )


def test_shapley_values_of_two_and_three() -> None:
    v = torch.tensor([[0.0, 1, 0, 2], [0, 1, 1, 2], [0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]])
    assert shapley(v).tolist() == [[1.5, 0.5], [1, 1], [0.5, -0.5], [0, 0], [0, 0]]
    everyone_needed = torch.tensor([0.0, 0, 0, 0, 0, 0, 0, 3])
    assert shapley(everyone_needed).tolist() == pytest.approx([1, 1, 1])
    with pytest.raises(ValueError, match=r"2\*\*K columns, K >= 1. Got 3"):
        shapley(torch.zeros(3))


def test_copies() -> None:
    assert copies(torch.tensor([-0.5, 0, 0.5, 1, 1.5])).tolist() == [3, 2, 1, 0, 0]
    thirds = shapley(torch.tensor([0.0, 0, 0, 0, 0, 0, 0, 3], dtype=torch.float64))
    assert copies(thirds).tolist() == [0, 0, 0]


@pytest.mark.parametrize("level", ["sample", "modality"])
def test_smv_repeats_what_a_modality_fails_on(level: Any) -> None:
    run = start(SMV(level=level, warm_up=0, subset=1.0), tiny(3, (1, 8, 8), noise=2.0))
    run.model.encoders[0].eval()  # a mode of its own, which must come back
    state = copy.deepcopy(run.model.state_dict())
    plan = run.method.samples(run)
    assert [m.training for m in run.model.encoders] == [False, True, True]
    assert all(
        torch.equal(a, b)
        for a, b in zip(state.values(), run.model.state_dict().values(), strict=True)
    )
    assert plan is not None
    assert plan.keep is not None
    n = len(run.train)
    assert plan.index[:n].tolist() == list(range(n))
    assert plan.keep[:n].all()
    assert (plan.keep[n:].sum(1) == 1).all()
    run.model.eval()
    with torch.no_grad():
        features = run.model.features(run.inputs(run.train, torch.arange(n)).inputs)
        value = []
        for kept in coalitions(3):
            z = run.model.fuse([h * (k in kept) for k, h in enumerate(features)])
            value.append((z.argmax(1) == run.train.target) * float(len(kept)))
    phi = shapley(torch.stack(value, 1).double())
    repeats = plan.keep[n:].sum(0)
    if level == "sample":
        expected = copies(phi)
        for k in range(3):
            assert torch.equal(
                torch.bincount(plan.index[n:][plan.keep[n:, k]], minlength=n), expected[:, k]
            )
    else:
        gap = phi.mean(0).max() - phi.mean(0).min()
        expected = torch.zeros(3, dtype=torch.long)
        expected[phi.mean(0).argmin()] = int(2 / 3 * gap * n)
        assert torch.equal(repeats, expected)
        assert repeats.sum() > 0


def test_smv_with_everything_right_is_a_plain_epoch() -> None:
    run = start(SMV(warm_up=0), tiny())
    run.train = Split(run.train.inputs, torch.zeros_like(run.train.target))
    with torch.no_grad():
        run.model.fusion.weight.zero_()
        run.model.fusion.bias.copy_(torch.tensor([1.0, 0, 0]))  # class 0 whatever the features
    assert run.method.samples(run) is None


# -- Re-learning ----------------------------------------------------------------------------------------------------------------------
def test_purity() -> None:
    rng = np.random.default_rng(0)
    target = np.arange(90) % 3
    separate = np.eye(3)[target] + 0.01 * rng.standard_normal((90, 3))
    assert purity(separate, target, 3) == 1
    share = np.r_[np.zeros(60, int), np.ones(30, int)]
    assert 60 / 90 <= purity(rng.standard_normal((90, 4)), share, 3) < 1
    assert purity(np.ones((90, 4)), share, 3) == 60 / 90  # features that say nothing


@pytest.mark.parametrize("lam", [0.7, 1e9])
def test_relearning_blends_towards_the_start(lam: float) -> None:
    dataset = tiny(shape=(1, 8, 8), noise=2.0)
    run = start(methods.create("relearning", lam=lam, every=2), dataset)
    initial = copy.deepcopy(run.model.state_dict())
    for epoch in range(3):
        run.epoch = epoch
        for batch in run.batches():
            run.method.step(run, batch)
        trained = copy.deepcopy(run.model.state_dict())
        run.method.end_epoch(run)
        if epoch < 2:
            assert all(
                torch.equal(a, b)
                for a, b in zip(trained.values(), run.model.state_dict().values(), strict=True)
            )
    alpha = run.method.report()["reinitialised"]
    assert max(alpha) > 0
    for key, value in run.model.state_dict().items():
        if key.startswith("encoders") and key in dict(run.model.named_parameters()):
            k = int(key.split(".")[1])
            torch.testing.assert_close(
                value, alpha[k] * initial[key] + (1 - alpha[k]) * trained[key], rtol=1e-5, atol=1e-7
            )
            if lam > 1 and alpha[k]:
                assert torch.equal(value, initial[key])
        else:
            assert torch.equal(
                value, trained[key]
            )  # fusion layer, heads and batch-norm statistics stay
