"""How adapters are trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from mimo_sim._checks import check_choice, check_count, check_number, check_positive
from mimo_sim.language.adapters import Kind

Objective: TypeAlias = Literal["joint", "scalarization", "mimo"]
TINY = "tiny"


@dataclass(frozen=True)
class LanguageSettings:
    """How adapters are trained.

    Parameters
    ----------
    adapter : {"moka", "lora"}
    objective : {"joint", "scalarization", "mimo"}
        ``"joint"``: the loss of the answers. The others add the losses of each modality alone,
        where the tokens of the other are absent: their sum, or MIMO's penalty on the largest gap
        to the best that one digit allows.
    lam, mu : float
        Of MIMO (:class:`mimo_sim.MIMOLoss`); `lam` also weighs the sum, by lam / 2 each.
    rank, alpha, dropout, weight
        Of the adapters (:class:`mimo_sim.language.MokALinear`).
    tokens : int
        Tokens of each modality, >= 1.
    model : str
        ``"tiny"``, or the folder of a causal language model of the package transformers.
    epochs, batch_size : int
    lr : float
        Largest learning rate; it falls as half a cosine, after 3 % of the steps of warm-up.
    seed : int
        Of the data, the start weights and the order.
    device, dtype : str
        Where, and in which precision the frozen model is: ``"float32"`` or ``"bfloat16"``.

    Raises
    ------
    ValueError, TypeError
        For a value outside its range.
    """

    adapter: Kind = "moka"
    objective: Objective = "joint"
    lam: float = 2.0
    mu: float = 0.1
    rank: int = 4
    alpha: float = 16.0
    dropout: float = 0.05
    weight: float = 1.0
    tokens: int = 1
    model: str = TINY
    epochs: int = 14
    batch_size: int = 64
    lr: float = 7e-3
    seed: int = 0
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        check_choice("adapter", self.adapter, get_args(Kind))
        check_choice("objective", self.objective, get_args(Objective))
        check_choice("dtype", self.dtype, ("float32", "bfloat16"))
        for name, least in (("rank", 1), ("tokens", 1), ("epochs", 1), ("batch_size", 1)):
            object.__setattr__(self, name, check_count(name, getattr(self, name), least))
        object.__setattr__(self, "seed", check_count("seed", self.seed, 0))
        for name in ("mu", "alpha", "lr"):
            check_positive(name, getattr(self, name))
        for name in ("lam", "weight"):
            check_positive(name, getattr(self, name), allow_zero=True)
        if not 0 <= check_number("dropout", self.dropout) < 1:
            raise ValueError(f"`dropout` must be in [0, 1). Got dropout={self.dropout!r}.")

    @property
    def row(self) -> str:
        """The name of its row in a table: ``moka, mimo``."""
        return f"{self.adapter}, {self.objective}"

    def described(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)
