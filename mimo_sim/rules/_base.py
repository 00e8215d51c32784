r"""What a rule is: weights of the objectives, from losses and inner products of their gradients.

The toy has K + 1 objectives: the multi-modal loss f_mm, and the uni-modal losses f_k. A rule looks
at one step and says by which weights the gradients are added. Many methods of the field are such
rules. In the toy all that they look at is a block of a Gram matrix. So their training is simulated
exactly, for any hidden width.

Two different uni-modal losses share no parameter, so their gradients are orthogonal. What is left
is the length of each gradient, and the inner products of f_mm's gradient with each of the others.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple, NoReturn, TypeAlias

import numpy as np

from mimo_sim._symbols import Tape, total

Scope: TypeAlias = Literal["network", "encoder"]

SINGLE = ("excess_mm", "optimum_mm", "start")
PER_MODALITY = (
    "excess",
    "optimum",
    "explained",
    "joint_head",
    "joint",
    "cross",
    "own",
    "own_head",
)


@dataclass(frozen=True)
class Seen:
    """What a rule sees of one step. Lists have one entry per modality; losses share one unit."""

    excess_mm: Any
    """f_mm minus its minimum."""
    optimum_mm: Any
    """The minimum of f_mm."""
    start: Any
    """The loss of a network that computes zero, E|y|^2 / 2."""
    excess: Sequence[Any]
    """f_k minus its minimum f_k*."""
    optimum: Sequence[Any]
    """f_k*."""
    explained: Sequence[Any]
    """What uni-modal head k explains: the loss of the zero network minus f_k."""
    joint_head: Sequence[Any]
    """Squared norm of f_mm's gradient by V_k."""
    joint: Sequence[Any]
    """Squared norm of f_mm's gradient by W_k."""
    cross: Sequence[Any]
    """Inner product of the gradients of f_mm and f_k. Only W_k is in both."""
    own: Sequence[Any]
    """Squared norm of f_k's gradient by W_k."""
    own_head: Sequence[Any]
    """Squared norm of f_k's gradient by U_k."""

    @property
    def modalities(self) -> range:
        """0 ... K - 1."""
        return range(len(self.excess))

    @property
    def whole_mm(self) -> Any:
        """Squared norm of f_mm's gradient over the whole network."""
        return total([*self.joint, *self.joint_head])

    @property
    def whole(self) -> list[Any]:
        """(K,) squared norms of the gradients of the f_k over the whole network."""
        return [self.own[k] + self.own_head[k] for k in self.modalities]


class Weights(NamedTuple):
    """By which weights the gradients are added."""

    joint: Sequence[Any]
    """(K,) weight of f_mm in the update of encoder k."""
    uni: Sequence[Any]
    """(K,) weight of f_k in the update of encoder k."""
    uni_head: Sequence[Any]
    """(K,) weight of f_k in the update of its own head U_k."""
    joint_head: Any
    """Weight of f_mm in the update of the joint head V."""


def of_network(joint: Any, uni: Sequence[Any]) -> Weights:
    """One weight per objective, the same for all parameters."""
    return Weights([joint] * len(uni), uni, uni, joint)


def of_encoders(joint: Sequence[Any], uni: Sequence[Any]) -> Weights:
    """Weights for the encoders. Every head follows the loss of its own output, unchanged."""
    return Weights(joint, uni, [1.0] * len(uni), 1.0)


@dataclass(frozen=True)
class Rule(ABC):
    """A solver of the toy that weighs gradients. A subclass is a frozen dataclass.

    Its fields are the hyper-parameters: numbers, tuples with one number per modality, words or
    None. :meth:`weights` must not branch on numbers; it uses ``select`` of
    :mod:`mimo_sim._symbols`. It is compiled from there, for one run and for many at once.
    """

    name: ClassVar[str] = ""
    about: ClassVar[str] = ""
    heads: ClassVar[str] = "plain"  # uni-modal heads are trained
    f_star: ClassVar[str] = "exact"  # of the recorded gaps

    @abstractmethod
    def weights(self, seen: Seen) -> Weights:
        """The weights of one step."""

    @abstractmethod
    def weight_sum(self, num_modalities: int) -> float:
        """The sum of the weights of all K + 1 objectives where their gradients agree.

        It is the size of the rule's steps: the default step size shrinks with it, and rules are
        compared at equal step size times this sum.
        """

    def check_modalities(self, num_modalities: int) -> None:
        """Raise ``ValueError`` where a hyper-parameter does not suit so many modalities."""
        for name, value in self.hyper().items():
            if isinstance(value, tuple) and len(value) != num_modalities:
                raise ValueError(
                    f"`{name}` must hold one number per modality ({num_modalities}). "
                    f"Got {name}={value!r}."
                )

    def hyper(self) -> dict[str, Any]:
        """The hyper-parameters by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def parameters(self) -> list[float]:
        """The hyper-parameters that are numbers, one after the other."""
        found: list[float] = []
        for value in self.hyper().values():
            if _is_number(value):
                found.append(float(value))
            elif isinstance(value, tuple):
                found += map(float, value)
        return found

    def structure(self) -> Structure:
        """The rule without its numbers: rules of one structure share their compiled code."""
        kept = tuple(
            (name, None if _is_number(value) else len(value) if isinstance(value, tuple) else value)
            for name, value in self.hyper().items()
        )
        numbers = tuple(_is_number(value) for value in self.hyper().values())
        return Structure(type(self), kept, numbers)

    def __call__(self, *losses: object, **more: object) -> NoReturn:
        """Refuse to be used as a criterion."""
        raise TypeError(
            f"`mimo_sim.{type(self).__name__}` is a solver of the toy, for `mimo_sim.simulate`. "
            f"To train a network use `mimo_sim.methods` (`mimo_sim.methods.available()`)."
        )


def _is_number(value: Any) -> bool:
    number = int | float | np.integer | np.floating
    return isinstance(value, number) and not isinstance(value, bool)


@dataclass(frozen=True)
class Structure:
    """A class of rules, and its hyper-parameters without their numbers."""

    rule: type[Rule]
    kept: tuple[tuple[str, Any], ...]  # words as they are, lengths of tuples, None for a number
    numbers: tuple[bool, ...]

    @property
    def num_parameters(self) -> int:
        """How many numbers are missing."""
        lengths = [int(value) for _, value in self.kept if _is_number(value)]
        return sum(self.numbers) + sum(lengths)


@cache
def lines(structure: Structure, num_modalities: int) -> tuple[tuple[str, ...], frozenset[str]]:
    """The weights of a rule as lines of Python on single numbers, and the values that they read.

    They read ``seen_`` and a name of :data:`SINGLE`, or of :data:`PER_MODALITY` with the number of
    a modality, and ``parameter0``, ``parameter1``, ... They write ``weight_joint0``, ...,
    ``weight_uni0``, ..., ``weight_uni_head0``, ... and ``weight_joint_head``.
    """
    tape, every = Tape(), range(num_modalities)
    given: dict[str, Any] = {name: tape.symbol(f"seen_{name}") for name in SINGLE}
    for name in PER_MODALITY:
        given[name] = [tape.symbol(f"seen_{name}{k}") for k in every]
    rule, count = object.__new__(structure.rule), 0
    for (name, value), number in zip(structure.kept, structure.numbers, strict=True):
        known = value
        if number:
            known = tape.symbol(f"parameter{count}")
            count += 1
        elif isinstance(value, int) and not isinstance(value, bool):
            known = tuple(tape.symbol(f"parameter{count + i}") for i in range(value))
            count += value
        object.__setattr__(rule, name, known)
    found = rule.weights(Seen(**given))
    program, reads = tape.program(
        [
            *((f"weight_joint{k}", found.joint[k]) for k in every),
            *((f"weight_uni{k}", found.uni[k]) for k in every),
            *((f"weight_uni_head{k}", found.uni_head[k]) for k in every),
            ("weight_joint_head", found.joint_head),
        ]
    )
    return tuple(program), frozenset(reads)


def rules_of(module: Any) -> list[tuple[str, type[Rule]]]:
    """The named rules that a module defines."""
    return [
        (cls.name, cls)
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and issubclass(cls, Rule)
        and cls.name
        and cls.__module__ == module.__name__
    ]
