"""What is known of a data set before any of it is read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mimo_sim.datasets._data import Dataset
    from mimo_sim.datasets._files import Download

PRESETS = ("cpu", "full")  # every data set has these: one for a laptop, one for all of the data
PRESET_EPOCHS = 30  # where a preset names no number of epochs


@dataclass(frozen=True)
class Record:
    """One data set: what is in it, whose it is, and its raw files.

    A module of this package with a ``RECORD`` is a data set. It is found by itself.

    Attributes
    ----------
    name : str
        Registry key.
    about : str
        One line.
    modalities : mapping
        Name -> shape of one sample; empty where it depends on the settings.
    classes : tuple of str
        In the order of the target's numbers; empty for regression.
    build : callable
        ``build(root, seed, **settings)``. Its keyword arguments after `root` and `seed` are the
        data set's settings.
    licence, home : str
    downloads : sequence of Download
        Raw files; empty when nothing has to be fetched.
    group : str
        What no two splits may share, such as a recording.
    settings : mapping
        Named settings -> what they are.
    presets : mapping
        Preset -> ``{"data": ..., "settings": ...}``: keyword arguments of `build`, and fields of
        the training settings. Either may be missing.
    """

    name: str
    about: str
    modalities: Mapping[str, tuple[int, ...]]
    classes: tuple[str, ...]
    build: Callable[..., Dataset]
    licence: str
    home: str
    downloads: Sequence[Download] = ()
    group: str = "sample"
    settings: Mapping[str, str] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def default_setting(self) -> str | None:
        """The named setting that `build` takes when none is given; None where there are none."""
        setting = inspect.signature(self.build).parameters.get("setting")
        return None if setting is None else setting.default

    @property
    def setting_names(self) -> tuple[str, ...]:
        """What `build` takes besides `root` and `seed`."""
        return tuple(inspect.signature(self.build).parameters)[2:]

    def preset(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Data settings and training settings of a preset.

        Raises
        ------
        ValueError
            If there is no such preset.
        """
        allowed = tuple(dict.fromkeys([*PRESETS, *self.presets]))
        if name not in allowed:
            raise ValueError(f"`preset` must be one of {allowed}. Got {name!r}.")
        chosen = self.presets.get(name, {})
        data = dict(chosen.get("data", {}))
        settings = {"epochs": PRESET_EPOCHS, **chosen.get("settings", {})}
        return data, settings
