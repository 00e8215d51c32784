r"""Closed forms for the two-layer late-fusion toy: who is learned first, when, how fast, and where the encoders end.

Notation: :math:`S_{kl} = E[x_k x_l^T]`, :math:`C_k = E[y x_k^T]`, :math:`|\cdot|` the largest singular value (for m = 1 the Euclidean
norm). "Tiny initialisation" means :math:`G_k = Z_k Z_k^T \to u_0^2 I` with :math:`u_0` = `init_scale` -> 0.

Sources: [ZLS] Zhang, Latham, Saxe, *Understanding Unimodal Bias in Multimodal Deep Linear Networks*, ICML 2024;
[MIMO] arXiv:2511.06686; the laws of MIMO's toy dynamics (growth, order threshold, norms, chattering) are this project's own.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mimo_sim._checks import check_positive
from mimo_sim.objective import sigma_weights
from mimo_sim.solvers import MIMO, FStarRule, HeadUpdate, Solver, initial_f_star

if TYPE_CHECKING:
    import xarray as xr

    from mimo_sim._checks import FloatArray
    from mimo_sim.problem import LateFusionProblem

ALIGNED = 1e-9  # cosine this close to -1 counts as exactly opposite


def _correlations(problem: LateFusionProblem) -> FloatArray:
    """(K,) largest singular value of each C_k: the rate at which vanilla training grows each encoder."""
    return np.array([np.linalg.norm(cross, 2) for cross in problem.sigma_yx])


# ------------------------------------------------------------------------------------------ preference conditions


@dataclass(frozen=True)
class PreferenceReport:
    """Does joint training prefer a modality superficially? (:func:`superficial_preference`)

    Attributes
    ----------
    holds : bool
        The modality learned first is not the one that explains most.
    first_learned, most_explaining : int
        Their indices.
    correlation : (K,) array
        :math:`|C_k|`, units of y times units of x_k; the largest is learned first.
    explained : (K,) array
        :math:`tr C_k S_kk^{+} C_k^T`, the part of :math:`E|y|^2` that modality k explains alone.
    names : tuple of str
        Names of the modalities.
    """

    holds: bool
    first_learned: int
    most_explaining: int
    correlation: FloatArray
    explained: FloatArray
    names: tuple[str, ...]

    def __str__(self) -> str:
        rows = "\n".join(
            f"  {name}: |C| = {c:.4g}, explains {e:.4g}"
            for name, c, e in zip(self.names, self.correlation, self.explained, strict=True)
        )
        verdict = "superficial modality preference" if self.holds else "no superficial preference"
        first, most = self.names[self.first_learned], self.names[self.most_explaining]
        return f"{verdict}: joint training learns {first} first, {most} explains most\n{rows}"


def superficial_preference(problem: LateFusionProblem) -> PreferenceReport:
    r"""Test the two conditions of superficial modality preference [ZLS; MIMO Eq. 16-18].

    A = `first_learned` has the largest :math:`|C_k|`, B = `most_explaining` the largest :math:`C_k S_{kk}^{+} C_k^T`; the preference is
    superficial when they differ. Any K and m: the first condition compares growth rates near the origin (largest singular values), the second
    exact uni-modal optima.
    """
    correlation = _correlations(problem)
    explained = np.array(
        [
            float(np.sum(best * cross))
            for best, cross in zip(problem.unimodal_maps, problem.sigma_yx, strict=True)
        ]
    )
    first, most = int(np.argmax(correlation)), int(np.argmax(explained))
    holds = bool(correlation[first] > correlation[most] and explained[first] < explained[most])
    return PreferenceReport(holds, first, most, correlation, explained, problem.names)


# ------------------------------------------------------------------------------------------ joint training: order and times


def _scalar_output(problem: LateFusionProblem, what: str) -> None:
    if problem.output_dim != 1:
        raise ValueError(
            f"{what} is known for scalar targets (m = 1) only. Got a problem with output_dim={problem.output_dim}."
        )


def _masked_optimum(problem: LateFusionProblem, members: list[int]) -> FloatArray:
    """The (m, D) map that minimises f_mm over the modalities in `members`, zero elsewhere."""
    from mimo_sim.problem import _generalised_solve

    columns = (
        np.r_[tuple(problem.features(k) for k in members)] if members else np.array([], dtype=int)
    )
    best = np.zeros_like(problem.cross_moment)
    if members:
        best[:, columns] = _generalised_solve(
            problem.cross_moment[:, columns], problem.input_moment[np.ix_(columns, columns)]
        )
    return best


def _turn(gain: float, old: FloatArray, new: FloatArray, exact_limit: bool) -> float:
    r"""Log-amplification of the growing mode along `new`, after growth by exp(gain) along `old`.

    The state (v, w) of a modality is a growing part e^{gain} (1, c)/sqrt 2 along the unit vector c of `old`, a shrinking part
    e^{-gain} (1, -c)/sqrt 2, and neutral parts orthogonal to c. Projected on (1, d)/sqrt 2 with cos = c.d these carry
    (1 + cos)/2, (1 - cos)/2 and sin/sqrt 2. In the limit u0 -> 0 only the largest exponent with a non-zero coefficient counts.
    """
    norms = np.linalg.norm(old) * np.linalg.norm(new)
    if norms == 0:
        return gain
    cos = float(np.clip(old.ravel() @ new.ravel() / norms, -1.0, 1.0))
    if exact_limit:
        return -gain if cos < -1 + ALIGNED else gain
    parts = [
        (gain, (1 + cos) / 2),
        (-gain, (1 - cos) / 2),
        (0.0, math.sqrt((1 - cos) * (1 + cos) / 2)),
    ]
    return 0.5 * float(np.logaddexp.reduce([2 * (g + math.log(c)) for g, c in parts if c > 0]))


def learning_times(problem: LateFusionProblem, init_scale: float | None = None) -> FloatArray:
    r"""When joint training learns each modality, under gradient flow from tiny initialisation.

    Modalities are learned one after another: each grows at the rate of its residual correlation :math:`D_k = C_k - \sum_{l\,learned} M_l S_{lk}`
    (with M the joint optimum over the modalities learned so far) until its amplitude reaches order one. For K = 2 this is
    [ZLS]'s :math:`t_A = \ln(1/u_0)/|C_A|` and :func:`time_ratio`; the same argument is carried on for K > 2.

    Parameters
    ----------
    problem : LateFusionProblem
        With m = 1.
    init_scale : float, optional
        :math:`u_0`. Without it, times are returned in units of :math:`\ln(1/u_0)` in the limit :math:`u_0 \to 0`. With it, in flow time (step size x
        steps), with the order-one terms that scalar inputs allow in closed form: the mode starts at :math:`|W|^2 = u_0^2/2` and counts as learned at half
        its plateau, and a mode whose direction changes keeps only its projection.

    Returns
    -------
    (K,) array
        ``inf`` for a modality that has nothing left to learn once the others are.

    Raises
    ------
    ValueError
        If m > 1, or `init_scale` is not in (0, 1).

    Notes
    -----
    The relative error against simulated half-times falls like 1/ln(1/u_0). Half of the plateau is not always half of the final value, which
    :func:`mimo_sim.half_times` reads: where the others lower or raise a modality's share later, its half-time moves by an order-one flow time, and where its
    plateau lies below half of its final squared norm (strongly negative correlation) the half-time falls into a later phase.
    """
    _scalar_output(problem, "The order of learning in joint training")
    if init_scale is not None and not 0 < init_scale < 1:
        raise ValueError(f"`init_scale` must lie in (0, 1). Got init_scale={init_scale}.")
    every = range(problem.num_modalities)
    times, gain, now = (
        np.full(problem.num_modalities, np.inf),
        np.zeros(problem.num_modalities),
        0.0,
    )
    learned: list[int] = []
    residual = [np.array(cross) for cross in problem.sigma_yx]
    negligible = 1e-12 * _correlations(problem).max()
    while len(learned) < problem.num_modalities:
        waiting = {}
        for k in every:
            rate = float(np.linalg.norm(residual[k]))
            if k in learned or rate <= negligible:
                continue
            target = 1.0
            if init_scale is not None:
                plateau = _masked_optimum(problem, [*learned, k])[:, problem.features(k)]
                target = math.log(1 / init_scale) + 0.5 * math.log(
                    2 * float(np.linalg.norm(plateau))
                )
            waiting[k] = max(target - gain[k], 0.0) / rate
        if not waiting:
            break
        following = min(waiting, key=lambda k: waiting[k])
        now += waiting[following]
        times[following] = now
        learned.append(following)
        best = _masked_optimum(problem, learned)
        for k in every:
            if k not in learned:
                gain[k] += float(np.linalg.norm(residual[k])) * waiting[following]
                renewed = problem.sigma_yx[k] - best @ problem.input_moment[:, problem.features(k)]
                gain[k] = _turn(gain[k], residual[k], renewed, exact_limit=init_scale is None)
                residual[k] = renewed
    return times


def time_ratio(problem: LateFusionProblem, init_scale: float | None = None) -> float:
    r"""Predicted :math:`t_{second} / t_{first}` of joint training [ZLS].

    .. math:: t_B / t_A = 1 + (|C_A| - s\,|C_B|) / |D|, \qquad D = C_B - C_A S_{AA}^{-1} S_{AB},

    where s = 1, except that s = -1 when D points exactly opposite to C_B (for scalar inputs: when learning A flips the sign of what B must
    learn): B's mode has then been shrinking while A was learned. The scalar pair gives :math:`1 + (r^2 - 1)/(1 - \rho^2)` for :math:`\rho > -1/r`.

    Parameters
    ----------
    problem : LateFusionProblem
        With m = 1 and K >= 2 (for K > 2 the first two modalities of :func:`learning_times`).
    init_scale : float, optional
        Predict for this finite :math:`u_0` instead of the limit.

    Returns
    -------
    float
        >= 1, time over time; ``inf`` when nothing is left to learn after the first modality.

    Examples
    --------
    >>> from mimo_sim.generators import scalar_pair
    >>> round(time_ratio(scalar_pair(sigma_ratio=2.0, rho=0.5)), 6)
    5.0
    """
    if problem.num_modalities < 2:
        raise ValueError(
            f"A time ratio needs at least two modalities. Got num_modalities={problem.num_modalities}."
        )
    times = np.sort(learning_times(problem, init_scale))
    if math.isinf(times[0]):
        raise ValueError(
            "A time ratio needs a modality that correlates with the target. Got sigma_yx = 0."
        )
    return float(times[1] / times[0])


def misattribution(problem: LateFusionProblem) -> FloatArray:
    r"""What joint training wrongly credits to the first modality while it is learned alone: :math:`C_A S_{AA}^{+} - M_A` [ZLS].

    Returns
    -------
    (m, d_A) array
        The uni-modal optimum of the modality learned first minus its part of the joint optimum; rho / r for the scalar pair.
    """
    first = superficial_preference(problem).first_learned
    return np.asarray(problem.unimodal_maps[first] - problem.joint_map[:, problem.features(first)])


# ------------------------------------------------------------------------------------------ MIMO: growth, order, norms


def _initial_sigma(
    problem: LateFusionProblem, mu: float, f_star: FStarRule = "exact"
) -> FloatArray:
    """(K,) sigma weights of the zero network."""
    start = np.full(problem.num_modalities, problem.y_second_moment / 2)
    estimate = initial_f_star(MIMO(f_star=f_star), problem.unimodal_optima)
    estimate = np.where(
        np.isinf(estimate), start, estimate
    )  # the running minimum starts with the losses themselves
    return np.asarray(sigma_weights(start - estimate, mu))


def growth_rates(
    problem: LateFusionProblem,
    lam: float,
    mu: float,
    *,
    heads: HeadUpdate = "gradient",
    f_star: FStarRule = "exact",
) -> FloatArray:
    r"""Exponential growth rate of each encoder's norm near the origin under gradient flow.

    .. math:: |C_k| \sqrt{1 + \lambda^2 \sigma_k(0)^2} \quad\text{(heads="gradient")}, \qquad |C_k| \sqrt{1 + \lambda \sigma_k(0)} \quad\text{(heads="plain")}

    with sigma(0) the weights of the zero network. ``f_star="zero"`` and ``"running_minimum"`` make all gaps equal there, so sigma_k(0) = 1/K and
    MIMO cannot change the order.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.
    lam, mu : float
        Penalty (>= 0) and smoothing (> 0). ``lam=0`` gives joint training's rates.
    heads, f_star
        As in :class:`mimo_sim.MIMO`.

    Returns
    -------
    (K,) array
        Per unit of flow time; gradient descent with step eta multiplies by 1 + eta * rate.
    """
    MIMO(lam=lam, mu=mu, heads=heads)  # validates
    weight = lam * _initial_sigma(problem, mu, f_star)
    return _correlations(problem) * np.sqrt(1 + (weight**2 if heads == "gradient" else weight))


def order_threshold(
    problem: LateFusionProblem, mu: float = 0.0, *, heads: HeadUpdate = "gradient"
) -> float:
    r"""The penalty lam* above which MIMO (exact f*) learns the most explaining modality first.

    For B = most explaining and mu -> 0, :math:`\lambda^* = \sqrt{(|C_A|/|C_B|)^2 - 1}` with A the modality of largest :math:`|C_k|`
    (``heads="plain"``: its square). For mu > 0 the sigma weights of the zero network enter, and it solves equality of the growth rates.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.
    mu : float
        Smoothing, >= 0; 0 is the limit.

    Returns
    -------
    float
        0 when joint training already learns the most explaining modality first; ``inf`` when no penalty reverses the order (mu too large).
    """
    check_positive("mu", mu, allow_zero=True)
    MIMO(heads=heads)  # validates
    report = superficial_preference(problem)
    best = report.most_explaining
    squared = report.correlation**2
    others = [k for k in range(problem.num_modalities) if squared[k] > squared[best]]
    if not others:
        return 0.0
    sigma = _initial_sigma(problem, mu) if mu > 0 else np.eye(problem.num_modalities)[best]
    power = 2 if heads == "gradient" else 1
    lead = squared[best] * sigma[best] ** power - squared[others] * sigma[others] ** power
    if (lead <= 0).any():
        return math.inf
    return float(np.max((squared[others] - squared[best]) / lead) ** (1 / power))


def mimo_learning_times(problem: LateFusionProblem, lam: float) -> FloatArray:
    r"""When MIMO (exact f*, mu -> 0, two modalities) makes each encoder emerge, in units of :math:`\ln(1/u_0)` in the limit :math:`u_0 \to 0`.

    The modality g with the larger initial gap has sigma = 1 and grows at :math:`|C_g|\sqrt{1+\lambda^2}`, the other at :math:`|C_o|`. Whoever
    arrives second sees the other's part of the joint residual gone, :math:`D = C - C_{first} S_{first}^{+} S_{first,second}`, and has sigma = 1
    from then on: if g was first, its gap falls until it ties with the other's and is held there; if o was first, g's gap is still the larger.
    The second therefore grows at the largest singular value of :math:`[D; \lambda C]`.

    For uncorrelated inputs and :math:`\lambda > \lambda^*` the ratio of the two times is :math:`1 + |C_g|/|C_o| - 1/\sqrt{1+\lambda^2}`: MIMO shortens
    the wait of joint training (:func:`time_ratio`) without abolishing it. Half-times lie closer together, because the first encoder is held below half of
    its final size while it waits. The limit needs mu well below both gaps and their difference.

    Parameters
    ----------
    problem : LateFusionProblem
        With K = 2 and m = 1.
    lam : float
        Penalty, >= 0; 0 is joint training (:func:`learning_times`).

    Returns
    -------
    (2,) array
        Multiply by :math:`\ln(1/u_0)` for flow time.

    Raises
    ------
    ValueError
        If K is not 2 or m not 1, or an input has nothing to do with the target.
    """
    _scalar_output(problem, "The order of learning under MIMO")
    check_positive("lam", lam, allow_zero=True)
    if problem.num_modalities != 2:
        raise ValueError(
            f"MIMO's learning times are known for two modalities. Got num_modalities={problem.num_modalities}."
        )
    correlation = _correlations(problem)
    if (correlation == 0).any():
        raise ValueError(
            f"Both modalities must correlate with the target. Got |C| = {correlation.tolist()}."
        )
    leader = superficial_preference(problem).most_explaining
    rates = correlation * np.where(np.arange(2) == leader, math.sqrt(1 + lam**2), 1.0)
    first = int(np.argmax(rates))
    second = 1 - first
    residual = (
        problem.sigma_yx[second] - problem.unimodal_maps[first] @ problem.sigma[first][second]
    )
    late_rate = float(np.linalg.norm(np.vstack([residual, lam * problem.sigma_yx[second]]), 2))
    times = np.empty(2)
    times[first] = 1 / rates[first]
    gain = rates[second] * times[first]
    if lam == 0:
        gain = _turn(gain, problem.sigma_yx[second], residual, exact_limit=True)
    times[second] = times[first] + (1 - gain) / late_rate if late_rate > 0 else math.inf
    return times


def final_encoder_norms(problem: LateFusionProblem, method: Solver) -> FloatArray:
    r"""Frobenius norm of each encoder at the end of a converged run from tiny initialisation.

    :math:`|W_k|_F^2` is the nuclear norm of the map that modality k's heads must realise: of :math:`[M_k; N_k]` for MIMO, of :math:`M_k` alone
    for joint training.

    Parameters
    ----------
    problem : LateFusionProblem
        Any K and m.
    method : Vanilla or MIMO
        Any f_star (all gaps close in the end), ``heads="gradient"``. ``lam=0`` counts as joint training.

    Returns
    -------
    (K,) array

    Raises
    ------
    ValueError
        For ``heads="plain"`` with lam > 0, which conserves no balance between encoder and heads.
    """
    if method.lam > 0 and method.heads == "plain":
        raise ValueError(
            "The final norms are known for `heads='gradient'` only: the plain head update conserves nothing. Got heads='plain'."
        )
    norms = []
    for k in range(problem.num_modalities):
        joint = problem.joint_map[:, problem.features(k)]
        reached = np.vstack([joint, problem.unimodal_maps[k]]) if method.lam > 0 else joint
        norms.append(math.sqrt(np.linalg.norm(reached, "nuc")))
    return np.array(norms)


def conserved_quantity(run: xr.Dataset) -> xr.DataArray:
    r"""The trace of :math:`W_k W_k^T - V_k^T V_k - U_k^T U_k`, i.e. :math:`|W|_F^2 - |V|_F^2 - |U|_F^2`, along a trajectory.

    Constant under gradient flow for ``heads="gradient"`` and frozen heads (no weight decay); the drift of gradient descent is O(eta^2) per step.

    Returns
    -------
    DataArray (step, modality)
    """
    balance: xr.DataArray = run.encoder_norm**2 - run.head_norm**2 - run.uni_head_norm**2
    return balance.rename("conserved_quantity")


# ------------------------------------------------------------------------------------------ step sizes


def _squared_slopes(problem: LateFusionProblem, remaining: FloatArray) -> FloatArray:
    r"""(K, ...) bound on :math:`|\nabla f_k|^2` along the path from the origin when the fraction `remaining` of N_k* is unlearned.

    On the ray N = (1 - q) N*: :math:`|\nabla f_k|^2 = |Q W^T|^2 + |Q^T U|^2 \le q^2 |C_k|^2 (|W|^2 + |U|^2)` with
    :math:`|W|^2 + |U|^2 \le 2\,|[M; N]| \le 2\sqrt2\,(1-q)\max(|M_k^*|, |N_k^*|)`.
    """
    norms = [
        max(
            np.linalg.norm(problem.joint_map[:, problem.features(k)], 2),
            np.linalg.norm(problem.unimodal_maps[k], 2),
        )
        for k in range(problem.num_modalities)
    ]
    scale = 2 * math.sqrt(2) * _correlations(problem) ** 2 * np.array(norms)
    return np.asarray(scale[:, None] * remaining**2 * (1 - remaining))


def smoothness(
    problem: LateFusionProblem, method: Solver, *, init_norm_squared: float = 0.0
) -> float:
    r"""An estimate of the largest curvature that gradient descent meets on its way from the initial point to the optimum.

    .. math:: L = L_{mm} + \lambda\,(\max_k L_k + \max_k l_k^2 / 2\mu) \qquad \text{[MIMO, Sec. 3.3, with the constants of the toy]}

    where :math:`L_{mm} = |S|\nu + \max_k |C_k|`, :math:`L_k = |S_{kk}|\nu_k + |C_k|` and :math:`\nu_k` bounds
    :math:`|W_k|^2 + |V_k|^2` (or :math:`|W_k|^2 + |U_k|^2`) by the norms at the optimum (:func:`final_encoder_norms`' argument), and
    :math:`l_k^2` bounds :math:`|\nabla f_k|^2`. The factor 1/2 is the largest eigenvalue that :math:`diag(\sigma) - \sigma\sigma^T` can have.

    Parameters
    ----------
    problem, method
        As in :func:`mimo_sim.simulate`.
    init_norm_squared : float
        Largest :math:`|W_k|^2 + |V_k|^2 + |U_k|^2` (spectral) of the initial point, where that is not tiny.

    Returns
    -------
    float
        1/L is the step size of Theorem 1; :func:`default_step_size` takes half of it.
    """
    correlation = _correlations(problem)
    every = range(problem.num_modalities)
    norms = np.array(
        [
            max(
                np.linalg.norm(problem.joint_map[:, problem.features(k)], 2),
                np.linalg.norm(problem.unimodal_maps[k], 2),
            )
            for k in every
        ]
    )
    uni = np.array([np.linalg.norm(problem.sigma[k][k], 2) for k in every])
    whole = float(np.linalg.norm(problem.input_moment, 2))
    stretch = 2 * norms * (math.sqrt(2) if method.lam > 0 else 1.0) + init_norm_squared
    curvature = whole * stretch.max() + correlation.max() + whole * init_norm_squared
    if method.lam > 0 or method.heads == "plain":
        uni_curvature = float(np.max(uni * stretch + correlation + uni * init_norm_squared))
        curvature += max(method.lam, 1.0 if method.heads == "plain" else 0.0) * uni_curvature
    if method.lam > 0:
        slopes = (
            _squared_slopes(problem, np.array([2 / 3])).ravel()
            + (correlation + uni * init_norm_squared) ** 2 * init_norm_squared
        )
        curvature += method.lam * slopes.max() / (2 * method.mu)
    return float(curvature)


def default_step_size(
    problem: LateFusionProblem, method: Solver, *, init_norm_squared: float = 0.0
) -> float:
    """Half of 1/L (:func:`smoothness`): monotone by Theorem 1 with a margin of two. 1 where there is no curvature, as nothing can be learned."""
    curvature = smoothness(problem, method, init_norm_squared=init_norm_squared)
    return 0.5 / curvature if curvature > 0 else 1.0


def chattering_threshold(problem: LateFusionProblem, lam: float, mu: float) -> float:
    r"""The step size above which sigma is expected to flip from step to step once the gaps have met.

    Where two gaps are tied, gradient descent holds them together by :math:`\sigma_k \propto 1/l_k^2` with :math:`l_k = |\nabla f_k|`. That fixed
    point of the discrete iteration is stable while :math:`\eta \lambda c / \mu < 2` with :math:`c = 1/(l_i^{-2} + l_j^{-2})`, the largest eigenvalue of
    :math:`diag(l)(diag(\sigma) - \sigma\sigma^T)diag(l)`. The threshold is the smallest :math:`2\mu/(\lambda c)` over pairs of modalities and over common
    gaps from the smaller of the pair's initial gaps to zero (more modalities tied at once have a smaller c), with the bound on :math:`l_k` used by
    :func:`smoothness`.

    Returns
    -------
    float
        A step size; ``inf`` for lam = 0 or one modality.
    """
    MIMO(lam=lam, mu=mu)  # validates
    start = problem.y_second_moment / 2 - problem.unimodal_optima
    smallest = math.inf
    for pair in itertools.combinations(range(problem.num_modalities), 2):
        own = start[list(pair)]
        if lam == 0 or own.min() <= 0:
            continue
        common = own.min() * np.linspace(0, 1, 513)[1:-1]
        slopes = _squared_slopes(problem, np.sqrt(common / start.clip(own.min())[:, None]))[
            list(pair)
        ]
        smallest = min(
            smallest,
            float(
                np.min(2 * mu / lam * np.sum(1 / np.maximum(slopes, np.finfo(float).tiny), axis=0))
            ),
        )
    return smallest


def summary(problem: LateFusionProblem, method: Solver) -> dict[str, Any]:
    """What this module predicts for a run, as plain values (None where a formula does not extend to the problem or the method; inf stays inf)."""
    report = superficial_preference(problem)
    scalar = problem.output_dim == 1 and problem.num_modalities > 1
    plain = method.lam > 0 and method.heads == "plain"
    heads: HeadUpdate = method.heads if isinstance(method, MIMO) else "gradient"
    exact = isinstance(method, MIMO) and method.f_star == "exact"
    return {
        "superficial_preference": {
            "holds": report.holds,
            "first_learned": report.first_learned,
            "most_explaining": report.most_explaining,
        },
        "correlation": report.correlation.tolist(),
        "explained": report.explained.tolist(),
        "unimodal_optima": problem.unimodal_optima.tolist(),
        "joint_optimum": problem.joint_optimum,
        "time_ratio": time_ratio(problem) if scalar else None,
        "order_threshold": order_threshold(problem, method.mu, heads=heads) if exact else None,
        "order_threshold_small_mu": order_threshold(problem, heads=heads) if exact else None,
        "final_encoder_norms": None if plain else final_encoder_norms(problem, method).tolist(),
        "default_step_size": default_step_size(problem, method),
    }
