"""The model: encoders make tokens of sound and picture, a frozen language model reads them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mimo_sim._extras import explained
from mimo_sim.language.adapters import TEXT, Kind, Routing, adapt
from mimo_sim.language.words import NUMBERS, QUESTION, FolderTokenizer, Tokenizer, WordTokenizer
from mimo_sim.networks import make_encoder

WIDTH = 64  # of an encoder's feature
PRETRAINING = {"steps": 300, "rate": 3e-3, "batch": 100}


def tiny_language_model(
    hidden: int = 64, layers: int = 2, seed: int = 0, steps: int | None = None
) -> tuple[nn.Module, WordTokenizer]:
    """A Llama of random weights that then learns sums: "three four what is the sum seven".

    Parameters
    ----------
    hidden, layers : int
        Length of a token, a multiple of 4, and number of blocks.
    seed : int
        Of the start weights and the order of the texts.
    steps : int, optional
        Steps of its own training on text, over the 100 sums. Default 300. Zero leaves it random.

    Returns
    -------
    model : LlamaForCausalLM
    tokenizer : WordTokenizer

    Raises
    ------
    ImportError
        Without the extra ``mimo_sim[backbones]``.
    """
    with explained():
        from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = WordTokenizer([*NUMBERS, QUESTION])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=hidden,
                intermediate_size=2 * hidden,
                num_hidden_layers=layers,
                num_attention_heads=4,
                num_key_value_heads=4,
                max_position_embeddings=64,
                initializer_range=hidden**-0.5,
                bos_token_id=None,
                eos_token_id=tokenizer.end,
                pad_token_id=None,
            )
        )
        _learn_sums(model, tokenizer, PRETRAINING["steps"] if steps is None else steps)
    return model.eval(), tokenizer


def _learn_sums(model: nn.Module, tokenizer: WordTokenizer, steps: float) -> None:
    """Train all weights on the texts of all sums of two digits."""
    texts = [
        [*tokenizer.encode(f"{NUMBERS[a]} {NUMBERS[b]} {QUESTION} {NUMBERS[a + b]}")]
        for a in range(10)
        for b in range(10)
    ]
    ids = torch.tensor([[*text, tokenizer.end] for text in texts])
    optimizer = torch.optim.AdamW(model.parameters(), lr=PRETRAINING["rate"], weight_decay=0.0)
    for step in range(int(steps)):
        for group in optimizer.param_groups:
            group["lr"] = PRETRAINING["rate"] * (1 - step / steps)
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=3).logits[:, :-1]
        loss = F.cross_entropy(logits.flatten(0, 1), ids[:, -2:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def load_language_model(folder: str, dtype: str = "float32") -> tuple[nn.Module, Tokenizer]:
    """A causal language model and its tokenizer from a folder; nothing is downloaded.

    Raises
    ------
    FileNotFoundError
        If the folder has no model that transformers can read.
    ImportError
        Without the extra ``mimo_sim[backbones]``.
    """
    with explained():
        from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, dtype=getattr(torch, dtype)
        )
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            "`model` must be 'tiny' or the folder of a causal language model with its tokenizer. "
            f"Got {folder!r}: {error}"
        ) from error
    return model.eval(), FolderTokenizer(tokenizer)


class Connector(nn.Module):
    """An encoder, and a linear layer that makes tokens of its feature.

    Tokens have the length and the usual size of the language model's own.

    Parameters
    ----------
    shape : tuple of int
        Of one input.
    tokens, hidden : int
        How many tokens, and their length.
    size : float
        Root mean square of the entries of a token.
    """

    def __init__(self, shape: Sequence[int], tokens: int, hidden: int, size: float) -> None:
        super().__init__()
        self.encoder = make_encoder(shape, width=WIDTH)
        self.map = nn.Linear(WIDTH, tokens * hidden)
        self.norm = nn.LayerNorm(hidden)
        nn.init.constant_(self.norm.weight, size)
        self.tokens = tokens

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The feature (B, 64) and the tokens (B, tokens, hidden) of inputs (B, *shape)."""
        feature: Tensor = self.encoder(x)
        return feature, self.norm(self.map(feature).unflatten(1, (self.tokens, -1)))


class MultimodalLanguageModel(nn.Module):
    """A frozen language model with adapters, and a :class:`Connector` for each modality.

    The model reads the tokens of all modalities in order, then the question, then the answer. An
    absent modality has no tokens; all others stay in their places.

    Parameters
    ----------
    language : module
        A causal language model of transformers. It is frozen and gets adapters, in place.
    tokenizer : Tokenizer
    shapes : sequence of tuples
        Shapes of one input of every modality.
    adapter, rank, alpha, dropout, weight
        As in :func:`mimo_sim.language.adapt`.
    tokens : int
        Of each modality.
    answers : sequence of str
        All answers that there are.
    question : str
    """

    def __init__(
        self,
        language: nn.Module,
        tokenizer: Tokenizer,
        shapes: Sequence[Sequence[int]],
        *,
        adapter: Kind = "moka",
        tokens: int = 1,
        rank: int = 4,
        alpha: float = 16.0,
        dropout: float = 0.05,
        weight: float = 1.0,
        answers: Sequence[str] = NUMBERS,
        question: str = QUESTION,
    ) -> None:
        super().__init__()
        model: Any = language
        head = model.get_output_embeddings()
        self.routing: Routing = adapt(
            model,
            adapter,
            rank=rank,
            alpha=alpha,
            dropout=dropout,
            modalities=len(shapes),
            weight=weight,
            skip=() if head is None else (head,),
        )
        self.language = model
        embedding = model.get_input_embeddings().weight
        size = float(embedding.detach().float().square().mean().sqrt())
        self.connectors = nn.ModuleList(
            Connector(shape, tokens, embedding.shape[1], size) for shape in shapes
        )
        self.tokens = tokens
        self.question: Tensor
        self.answers: Tensor
        self.register_buffer("question", torch.tensor(tokenizer.encode(question)))
        written = [[*tokenizer.encode(answer), tokenizer.end] for answer in answers]
        longest = max(map(len, written))
        padded = [[*ids, *[-1] * (longest - len(ids))] for ids in written]
        self.register_buffer("answers", torch.tensor(padded))  # -1: nothing more is said

    @property
    def num_modalities(self) -> int:
        """K."""
        return len(self.connectors)

    def trained(self) -> list[nn.Parameter]:
        """What training changes: connectors and adapters."""
        return [p for p in self.parameters() if p.requires_grad]

    def read(self, inputs: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Features (B, 64) and tokens (B, tokens, hidden) of every modality."""
        pairs = [each(x) for each, x in zip(self.connectors, inputs, strict=True)]
        return [feature for feature, _ in pairs], [tokens for _, tokens in pairs]

    def layout(self, present: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Kinds, question mask and places, (1, T) each, where only some modalities are present.

        The places of an answer's last token and of what comes after it are not in the input.
        """
        asked, said = len(self.question), self.answers.shape[1] - 1
        kinds = [k + 1 for k in range(self.num_modalities) for _ in range(self.tokens)]
        kinds += [TEXT] * (asked + said)
        shown = [kind == TEXT or kind - 1 in present for kind in kinds]
        device = self.question.device
        keep = torch.tensor(shown, device=device)
        places = torch.arange(len(kinds), device=device)
        first = self.num_modalities * self.tokens
        question = (places >= first) & (places < first + asked)
        return (
            torch.tensor(kinds, device=device)[keep][None],
            question[keep][None],
            places[keep][None],
        )

    def losses(
        self, tokens: Sequence[Tensor], target: Tensor, present: Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """How well the model says the answers.

        Parameters
        ----------
        tokens : K tensors (B, tokens, hidden)
        target : Tensor (B,) of int
            Which of the answers is the right one.
        present : sequence of int, optional
            The modalities whose tokens are there; None is all.

        Returns
        -------
        loss : Tensor (B,)
            Minus the log-probability of the whole answer, in nats.
        right : Tensor (B,) of bool
            Whether each token of the answer is the most likely one: then greedy decoding says it.
        """
        present = range(self.num_modalities) if present is None else present
        kinds, question, places = self.layout(present)
        answer = self.answers[target]
        embed = self.language.get_input_embeddings()
        batch = len(target)
        parts = [tokens[k] for k in present]
        parts.append(embed(self.question).expand(batch, -1, -1))
        parts.append(embed(answer[:, :-1].clamp_min(0)))
        dtype = embed.weight.dtype
        with self.routing.of(kinds, question), self._mixed(dtype, answer.device):
            logits = self.language(
                inputs_embeds=torch.cat([part.to(dtype) for part in parts], dim=1),
                # without a mask, transformers takes a gap in the places for the end of a text
                attention_mask=torch.ones_like(places).expand(batch, -1),
                position_ids=places.expand(batch, -1),
                use_cache=False,
                logits_to_keep=answer.shape[1],
            ).logits.float()
        said = answer >= 0
        each = F.cross_entropy(logits.transpose(1, 2), answer.clamp_min(0), reduction="none")
        right = ((logits.argmax(-1) == answer) | ~said).all(1)
        return torch.where(said, each, 0.0).sum(1), right

    @staticmethod
    def _mixed(dtype: torch.dtype, device: torch.device) -> Any:
        """Adapters are float32; where the model is not, they compute in its precision."""
        return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
