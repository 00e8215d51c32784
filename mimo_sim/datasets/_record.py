"""What is known of a data set before any of it is read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mimo_sim._checks import check_choice, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from mimo_sim.datasets._data import Dataset
    from mimo_sim.datasets._files import Download
    from mimo_sim.datasets._store import Plan

PRESETS = ("cpu", "full")  # every data set has these: one for a laptop, one for all of the data
PRESET_EPOCHS = 30  # where a preset names no number of epochs


@dataclass(frozen=True)
class Published:
    """A number that others published for a data set, to be shown beside ours.

    Attributes
    ----------
    setting : str or None
        The named setting that comes closest to their data; None where there are none.
    method, metric : str
        What it is to be compared with here: a method, and a metric of the test split.
    percent : float
    words : str
        What it is, in their words.
    source : str
    remark : str
        What a reader must know before comparing.
    """

    setting: str | None
    method: str
    metric: str
    percent: float
    words: str
    source: str
    remark: str = ""


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
    copy : mapping
        A compact copy of the raw files that serves in their place: path below the data folder ->
        "algorithm:hexadecimal sum". Nobody publishes it, so it is used only where it is there.
    group : str
        What no two splits may share, such as a recording.
    settings : mapping
        Named settings -> what they are.
    presets : mapping
        Preset -> ``{"data": ..., "settings": ...}``: keyword arguments of `build`, and fields of
        the training settings. Either may be missing.
    published : sequence of Published
        Numbers of others.
    check : callable or None
        ``check(**settings)`` refuses bad values of the settings of `build` without reading
        anything, so a command can refuse them before it downloads or trains.
    plan : callable or None
        ``plan(root, **settings)`` says what the store of a data set holds that has to be prepared;
        `build` then reads the store.
    """

    name: str
    about: str
    modalities: Mapping[str, tuple[int, ...]]
    classes: tuple[str, ...]
    build: Callable[..., Dataset]
    licence: str
    home: str
    downloads: Sequence[Download] = ()
    copy: Mapping[str, str] = field(default_factory=dict)
    group: str = "sample"
    settings: Mapping[str, str] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    published: Sequence[Published] = ()
    check: Callable[..., Any] | None = None
    plan: Callable[..., Plan] | None = None

    def raw_files(self, folder: Path) -> Sequence[Download]:
        """What a data folder must hold: its compact copy where there is one, else the downloads."""
        if any((folder / path).exists() for path in self.copy):
            from mimo_sim.datasets._files import Download

            return (Download("", self.copy, 0),)
        return self.downloads

    @property
    def default_setting(self) -> str | None:
        """The named setting that `build` takes when none is given; None where there are none."""
        setting = inspect.signature(self.build).parameters.get("setting")
        return None if setting is None else setting.default

    @property
    def setting_names(self) -> tuple[str, ...]:
        """What `build` takes besides `root` and `seed`."""
        return tuple(inspect.signature(self.build).parameters)[2:]

    def refuse_bad(self, settings: Mapping[str, Any]) -> None:
        """Refuse settings that `build` would refuse, as far as can be seen without reading.

        Raises
        ------
        TypeError
            For an unknown setting.
        ValueError, TypeError
            For a value that `check` refuses.
        """
        allowed = self.setting_names
        unknown = [key for key in settings if key not in allowed]
        if unknown:
            meant = "".join(did_you_mean(key, allowed) for key in unknown)
            raise TypeError(
                f"data set {self.name!r} takes {allowed or 'no settings'}. "
                f"Got {', '.join(unknown)}.{meant}"
            )
        if self.check is not None:
            self.check(**settings)

    def preset(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Data settings and training settings of a preset.

        Raises
        ------
        ValueError
            If there is no such preset.
        """
        allowed = tuple(dict.fromkeys([*PRESETS, *self.presets]))
        check_choice("preset", name, allowed)
        chosen = self.presets.get(name, {})
        data = dict(chosen.get("data", {}))
        settings = {"epochs": PRESET_EPOCHS, **chosen.get("settings", {})}
        return data, settings
