"""RollingQ: turn the query of the class token towards the modality that it looks at less."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_count, check_positive
from mimo_sim.methods._base import Family, Method, Needs, Search
from mimo_sim.methods._conformance import Conformance
from mimo_sim.methods._evaluation import evaluation_mode
from mimo_sim.methods._run import Run

if TYPE_CHECKING:
    from mimo_sim.networks._base import FusionNetwork
    from mimo_sim.networks.attention import AttentionFusion


def share_of_first(imbalance: float, rho: float) -> float:
    """alpha = (1 + tanh(-rho AIR)) / 2: how far the new query leans to modality 1, in [0, 1]."""
    return (1 + math.tanh(-rho * imbalance)) / 2


def balance_anchor(query: Tensor, keys: Tensor, share: float) -> Tensor | None:
    """The direction (d,) that a query (d,) should have, as long as the query.

    It is share times the unit vector of the first mean key plus (1 - share) times that of the
    second. None where these two cancel, or a key is zero.

    Parameters
    ----------
    query : Tensor (d,)
    keys : Tensor (2, d)
        Mean keys of both modalities.
    share : float
        In [0, 1].
    """
    first, second = F.normalize(keys, dim=1)
    anchor: Tensor = share * first + (1 - share) * second
    length = float(anchor.norm())
    if not length > 1e-9:
        return None
    found: Tensor = anchor * (query.norm() / length)
    return found


def plane_rotation(source: Tensor, target: Tensor) -> Tensor | None:
    """The rotation (d, d) in the plane of two vectors (d,) that turns one towards the other.

    What is orthogonal to both stays. None where the plane is not defined: for a zero vector, and
    for opposite ones.
    """
    if not (source.norm() > 0 and target.norm() > 0):
        return None
    q, r = F.normalize(source, dim=0), F.normalize(target, dim=0)
    cosine = q @ r
    across = r - cosine * q
    sine = across.norm()
    same = torch.eye(len(q), dtype=q.dtype, device=q.device)
    if float(sine) < 1e-12:
        return same if float(cosine) > 0 else None
    u = across / sine
    turn = torch.outer(u, q) - torch.outer(q, u)
    found: Tensor = same + (cosine - 1) * (torch.outer(q, q) + torch.outer(u, u)) + sine * turn
    return found


class RollingQ(Method):
    """Rotate the query of attention fusion once one modality gets more attention.

    The class token has a query q, and each modality has a mean key over its tokens. After an
    epoch AIR is measured on the train split: the mean of cos(q, key_1) - cos(q, key_2), in [-2, 2].
    If it is off zero by more than beta, q is turned onto a :func:`balance_anchor` between both mean
    keys. From then on the query of the class token is multiplied by this rotation, which is a
    constant; the layer that makes the queries keeps training.

    Parameters
    ----------
    rotations : int
        How many rotations a run makes at most, >= 0. Default 1, as published for CREMA-D; 3 for
        Kinetics-Sounds. Zero is joint training, bit for bit.
    beta : float
        The least |AIR| that is turned away, >= 0. Default 0, as released. 2 never rotates.
    rho : float
        How far the anchor leans to the modality that gets less attention, >= 0. Default 0, as
        released: it lies in the middle.

    Notes
    -----
    Ni, Wei, Liu, Chen, Peng, Lin, Hu (ICML 2025), arXiv:2506.11465. The released fusion is one
    layer of attention with one head; in our network the layer is a transformer block, and the query
    is turned as a whole before the heads cut it up. The released code measures AIR on the last
    training batch only. Its rotation comes from the singular vectors of a matrix of rank one: it
    takes q to the anchor as ours does, but what it does to all other directions is arbitrary. It
    also forgets the number of rotations in a checkpoint. The probes of the released code train no
    encoder; here they are those of every run.
    """

    name: ClassVar[str] = "rollingq"
    title: ClassVar[str] = "RollingQ"
    family: ClassVar[Family] = "feed-forward"
    about: ClassVar[str] = "turns the query of attention towards the less used (ICML 2025)"
    conformance: ClassVar[Conformance | None] = Conformance(
        paper="Ni, Wei, Liu, Chen, Peng, Lin, Hu, ICML 2025, arXiv:2506.11465",
        follows="paper",
        code="GeWu-Lab/RollingQ_ICML2025",
        released=(
            "Measures the imbalance on the last batch. Its rotation is arbitrary outside the "
            "plane of query and anchor. A loaded model forgets that it rotates."
        ),
    )
    search: ClassVar[Search] = {"rotations": ("int", 1, 5), "rho": ("uniform", 0.0, 5.0)}
    needs: ClassVar[Needs] = "query"
    min_modalities: ClassVar[int] = 2
    max_modalities: ClassVar[int | None] = 2
    rotation: Tensor
    """The product (d, d) of all rotations; (0, 0) before the first one."""
    count: Tensor
    """How many rotations were made."""
    imbalance: Tensor
    """AIR of the last epoch, as it was before a rotation."""

    def __init__(self, rotations: int = 1, beta: float = 0.0, rho: float = 0.0) -> None:
        rotations = check_count("rotations", rotations, 0)
        check_positive("beta", beta, allow_zero=True)
        check_positive("rho", rho, allow_zero=True)
        super().__init__(rotations=rotations, beta=beta, rho=rho)
        self.rotations, self.beta, self.rho = rotations, beta, rho

    def setup(self, run: Run) -> None:
        """Make the buffers."""
        self.register_buffer("rotation", torch.zeros(0, 0, device=run.device))
        self.register_buffer("count", torch.zeros((), dtype=torch.long, device=run.device))
        self.register_buffer("imbalance", torch.full((), math.nan, device=run.device))

    def fuse(self, model: FusionNetwork, features: Sequence[Tensor]) -> Tensor:
        """The joint output with the turned query."""
        return cast("AttentionFusion", model).fuse(features, self.turned())

    def turned(self) -> Tensor | None:
        """The product of all rotations, None before the first one."""
        return self.rotation if self.rotation.numel() else None

    def end_epoch(self, run: Run) -> None:
        """Measure AIR while there are rotations left, and make one where it is too large."""
        if int(self.count) >= self.rotations:
            return
        imbalance, query, keys = self.attention(run)
        self.imbalance.copy_(imbalance)
        if not abs(float(imbalance)) > self.beta:
            return
        anchor = balance_anchor(query, keys, share_of_first(float(imbalance), self.rho))
        turn = None if anchor is None else plane_rotation(query, anchor)
        if turn is None:
            return
        before = self.turned()
        whole = turn if before is None else turn @ before.double()
        self.rotation = whole.float()
        self.count += 1

    @torch.no_grad()
    def attention(self, run: Run) -> tuple[Tensor, Tensor, Tensor]:
        """AIR, the mean query (d,) and the mean keys (2, d) of the train split, in float64."""
        model = cast("AttentionFusion", run.model)
        width = max(model.widths)
        air = torch.zeros((), dtype=torch.float64, device=run.device)
        query = torch.zeros(width, dtype=torch.float64, device=run.device)
        keys = torch.zeros(2, width, dtype=torch.float64, device=run.device)
        with evaluation_mode(model):
            for batch in run.evaluation_batches(run.train):
                q, k = model.query_and_keys(model.features(batch.inputs), self.turned())
                q, k = q.double(), k.double()
                cosines = F.cosine_similarity(q[:, None], k, dim=2)
                air += (cosines[:, 0] - cosines[:, 1]).sum()
                query += q.sum(0)
                keys += k.sum(0)
        size = len(run.train)
        return air / size, query / size, keys / size

    def report(self) -> dict[str, Any]:
        """AIR when it was measured last, and the number of rotations."""
        return {"attention_imbalance": float(self.imbalance), "rotations": int(self.count)}
