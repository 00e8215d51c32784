"""Numbers in words, and a vocabulary of whole words for the tiny model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    "eighteen",
)  # all sums of two digits
QUESTION = "What is the sum?"
END = "<end>"


class Tokenizer(Protocol):
    """What the room uses of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Token numbers of a text, without special ones."""
        ...

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        ...


class WordTokenizer:
    """One token for each word of a list of texts; case and punctuation do not count."""

    def __init__(self, texts: Sequence[str]) -> None:
        words = dict.fromkeys(word for text in texts for word in self.split(text))
        self.number = {word: i for i, word in enumerate([END, *words])}

    @staticmethod
    def split(text: str) -> list[str]:
        """The words of a text."""
        return "".join(c if c.isalnum() else " " for c in text.lower()).split()

    def __len__(self) -> int:
        return len(self.number)

    def encode(self, text: str) -> list[int]:
        """Token numbers of a text.

        Raises
        ------
        ValueError
            For a word that is not in the list.
        """
        words = self.split(text)
        unknown = [word for word in words if word not in self.number]
        if unknown:
            raise ValueError(
                f"`text` has words that are not in the vocabulary. Got {unknown[0]!r}."
            )
        return [self.number[word] for word in words]

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        return self.number[END]


class FolderTokenizer:
    """The tokenizer that lies in a model's folder."""

    def __init__(self, tokenizer: object) -> None:
        self.tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """Token numbers of a text, without special ones."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False)  # type: ignore[attr-defined]
        return found

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        return int(self.tokenizer.eos_token_id)  # type: ignore[attr-defined]
