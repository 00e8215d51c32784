"""Adapters for the linear layers of a frozen model: LoRA, and MokA for tokens of several kinds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mimo_sim._checks import check_choice, check_count, check_number, check_positive
from mimo_sim.methods._conformance import Conformance

Kind: TypeAlias = Literal["lora", "moka"]
TEXT = 0  # the kind of a text token; modalities are counted from 1


class Routing:
    """What the adapters of a model must know of the tokens that go through it.

    One object is shared by all adapters of a model. Set it around every forward pass::

        with routing.of(kinds, question):
            model(...)

    Attributes
    ----------
    kinds : Tensor (B or 1, T) of int, or None
        0 for a text token, k for a token of modality k = 1, ..., K.
    question : Tensor (B or 1, T) of bool, or None
        Which text tokens are the question.
    """

    kinds: Tensor | None = None
    question: Tensor | None = None

    @contextmanager
    def of(self, kinds: Tensor, question: Tensor) -> Iterator[None]:
        """These tokens, until the block ends."""
        if kinds.shape != question.shape or kinds.ndim != 2:
            raise ValueError(
                "`kinds` and `question` must have one shape (B or 1, T). "
                f"Got {tuple(kinds.shape)} and {tuple(question.shape)}."
            )
        self.kinds, self.question = kinds, question
        try:
            yield
        finally:
            self.kinds = self.question = None


class LoRALinear(nn.Module):
    r"""Low-rank adaptation: y = W_0 x + B s A dropout(x), with s = alpha / r.

    W_0 is frozen; A and B are float32, whatever it is. B starts at zero, so that nothing changes.

    Parameters
    ----------
    base : nn.Linear
        The layer, with or without a bias; it is frozen in place.
    rank : int
        r, >= 1.
    alpha : float
        Scale, > 0.
    dropout : float
        Of the inputs of A, in [0, 1).

    Notes
    -----
    Hu et al. (ICLR 2022), arXiv:2106.09685.
    """

    conformance: ClassVar[Conformance] = Conformance(
        paper="Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang, Chen, ICLR 2022, arXiv:2106.09685",
        follows="both",
        code="microsoft/LoRA",
    )

    def __init__(
        self, base: nn.Linear, rank: int = 4, alpha: float = 16.0, dropout: float = 0.05
    ) -> None:
        super().__init__()
        rank = check_count("rank", rank)
        check_positive("alpha", alpha)
        if not 0 <= check_number("dropout", dropout) < 1:
            raise ValueError(f"`dropout` must be in [0, 1). Got dropout={dropout!r}.")
        self.base = base.requires_grad_(False)
        self.rank, self.scale, self.dropout = rank, alpha / rank, dropout
        self.up = nn.Parameter(torch.zeros(base.out_features, rank, device=base.weight.device))
        self.down = self._new_down()

    def _new_down(self) -> nn.Parameter:
        """A (r, d_in), Kaiming-uniform as a linear layer of torch."""
        down = torch.empty(self.rank, self.base.in_features, device=self.base.weight.device)
        nn.init.kaiming_uniform_(down, a=math.sqrt(5))
        return nn.Parameter(down)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (..., d_out) of inputs (..., d_in)."""
        low = F.linear(F.dropout(x, self.dropout, self.training), self.down)
        return self.base(x) + F.linear(self.scale * low, self.up)  # type: ignore[no-any-return]


class MokALinear(LoRALinear):
    r"""MokA: an A for each modality, one B for all, and attention between low-rank tokens.

    A token x of kind k becomes u = s A_k dropout(x). Then every token of a modality looks at the
    question: u <- u + w softmax(u u_q^T / sqrt r) u_q, where u_q are the low-rank tokens of the
    text from the first to the last token of the question. Text tokens stay. At last
    y = W_0 x + B u. A sample without a question has no such attention.

    Parameters
    ----------
    base, rank, alpha, dropout
        As in :class:`LoRALinear`; the rank holds for each modality.
    modalities : int
        K, beside the text, >= 1.
    weight : float
        w of the attention, >= 0. Zero is LoRA with a block for each modality.
    routing : Routing
        What kind each token is of.

    Raises
    ------
    RuntimeError
        If it is called outside of :meth:`Routing.of`.

    Notes
    -----
    Wei, Miao, Zhou, Hu (NeurIPS 2025), arXiv:2506.05191. The scale comes before the attention, as
    in the released code, so that scores carry its square. There each A runs over the tokens of all
    kinds and one sample after the other; a sample without a question fails.
    """

    conformance: ClassVar[Conformance] = Conformance(
        paper="Wei, Miao, Zhou, Hu, NeurIPS 2025, arXiv:2506.05191",
        follows="both",
        code="GeWu-Lab/MokA",
        released="Ranks above 9 cannot be written; a sample without a question fails.",
    )

    def __init__(
        self,
        base: nn.Linear,
        rank: int = 4,
        alpha: float = 16.0,
        dropout: float = 0.05,
        *,
        modalities: int,
        weight: float = 1.0,
        routing: Routing,
    ) -> None:
        super().__init__(base, rank, alpha, dropout)
        check_positive("weight", weight, allow_zero=True)
        del self.down
        self.downs = nn.ParameterList(
            self._new_down() for _ in range(1 + check_count("modalities", modalities))
        )
        self.weight, self.routing = weight, routing

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (B, T, d_out) of tokens (B, T, d_in)."""
        kinds, question = self.routing.kinds, self.routing.question
        if kinds is None or question is None:
            raise RuntimeError("MokA must know the tokens: call the model inside `routing.of(...)`")
        dropped = F.dropout(x, self.dropout, self.training)
        low = torch.zeros(*x.shape[:-1], self.rank, dtype=x.dtype, device=x.device)
        for kind, down in enumerate(self.downs):
            mine = (kinds == kind)[..., None]
            low = torch.where(mine, self.scale * F.linear(dropped, down), low)
        if self.weight:
            low = low + self.weight * self._seen(low, kinds, question)
        return self.base(x) + F.linear(low, self.up)  # type: ignore[no-any-return]

    def _seen(self, low: Tensor, kinds: Tensor, question: Tensor) -> Tensor:
        """What the tokens (B, T, r) of modalities see of the question; zero for those of text."""
        text = (kinds == TEXT)[..., None]
        keys = torch.where(text, low, 0.0)
        scores = low @ keys.transpose(1, 2) / math.sqrt(self.rank)
        span = between_first_and_last(question)[:, None]
        scores = scores.masked_fill(~span, torch.finfo(scores.dtype).min)
        seen = scores.softmax(-1) @ keys
        asked = question.any(1)[:, None, None]
        return torch.where(asked & ~text, seen, 0.0)


def between_first_and_last(mask: Tensor) -> Tensor:
    """Where (B, T) lies between the first and the last True of each row, both included."""
    count = mask.long()
    return (count.cumsum(1) > 0) & (count.flip(1).cumsum(1).flip(1) > 0)


def adapt(
    model: nn.Module,
    kind: Kind,
    *,
    rank: int = 4,
    alpha: float = 16.0,
    dropout: float = 0.05,
    modalities: int = 2,
    weight: float = 1.0,
    skip: tuple[nn.Module, ...] = (),
) -> Routing:
    """Freeze a model and put an adapter around each of its linear layers, in place.

    Parameters
    ----------
    model : module
    kind : {"lora", "moka"}
    rank, alpha, dropout, modalities, weight
        As in :class:`LoRALinear` and :class:`MokALinear`.
    skip : modules
        Layers that stay as they are, such as the one that makes the logits.

    Returns
    -------
    Routing
        To be told of the tokens; LoRA does not ask for it.

    Raises
    ------
    ValueError
        If the model has no linear layer, or a value is out of range.
    """
    check_choice("kind", kind, get_args(Kind))
    model.requires_grad_(False)
    routing = Routing()
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear) and not any(child is one for one in skip)
    ]
    if not found:
        raise ValueError(
            "`model` must have layers of the type torch.nn.Linear to adapt. "
            f"Got {type(model).__name__} without any."
        )
    for parent, name, child in found:
        if kind == "lora":
            adapter = LoRALinear(child, rank, alpha, dropout)
        else:
            adapter = MokALinear(
                child, rank, alpha, dropout, modalities=modalities, weight=weight, routing=routing
            )
        setattr(parent, name, adapter)
    return routing
