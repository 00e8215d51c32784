"""The commands of `mimo-sim`: a module here adds its own to one of the groups below.

:func:`load` finds the modules, so a new command edits no other file. What commands share stands in
the modules that begin with an underscore. Heavy imports happen inside the commands, so that help
is instant.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import typer

HELP: dict[str, Any] = {
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "no_args_is_help": True,
    "rich_markup_mode": None,  # help in plain text takes half the time
}
app = typer.Typer(
    name="mimo-sim",
    help="The laboratory for modality imbalance in multi-modal learning.",
    pretty_exceptions_enable=False,
    **HELP,
)
study = typer.Typer(help="Studies over many runs of the toy.", **HELP)
data = typer.Typer(help="Data sets: list, prepare, verify.", **HELP)
bench = typer.Typer(help="Methods on real data: run, compare, time.", **HELP)


def load() -> typer.Typer:
    """The whole command line."""
    there = [info.typer_instance for info in app.registered_groups]
    for name, group in {"study": study, "data": data, "bench": bench}.items():
        if group not in there:
            app.add_typer(group, name=name)
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"{__name__}.{module.name}")
    return app
