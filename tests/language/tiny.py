"""Small data and models for the tests of the language room."""

from __future__ import annotations

from pathlib import Path

import torch

from mimo_sim.language import Sums


def sums(n: int = 64, seed: int = 0, noise: float = 0.3) -> Sums:
    """Pairs whose digits can be seen in the brightness of a column; sounds are noisier."""
    generator = torch.Generator().manual_seed(seed)
    digits = torch.randint(10, (n, 2), generator=generator)
    inputs = []
    for k in range(2):
        x = noise * (2 - k) * torch.randn(n, 1, 12, 12, generator=generator)
        for row in range(n):
            x[row, 0, :, int(digits[row, k])] += 1.5
        inputs.append(x)
    return Sums(inputs, digits)


def splits(n: int = 96) -> dict[str, Sums]:
    return {
        "train": sums(n),
        "validation": sums(32, seed=1),
        "test": sums(40, seed=2),
    }


def save_model(folder: Path) -> str:
    """A random Llama and a tokenizer of single letters, as a real model's folder has them."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = "<end> ? abcdefghijklmnopqrstuvwxyzW".replace(" ", "")
    vocabulary = {"<end>": 0, "<?>": 1, " ": 2}
    for letter in letters.removeprefix("<end>"):
        vocabulary.setdefault(letter, len(vocabulary))
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<?>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", unk_token="<?>")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)
