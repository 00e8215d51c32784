"""Execute the notebooks of the site, as many at a time as there are cores, into a cache.

Sphinx finds them there by their code. One that fails is executed by Sphinx again, which then says
where.
"""

from __future__ import annotations

import logging
from pathlib import Path

SECONDS = 300  # for one cell: the first run of the exact engine compiles it


def execute(folder: Path, cache: Path) -> None:
    """Execute the notebooks of a folder whose code is not in the cache yet."""
    from jupyter_cache import get_cache
    from jupyter_cache.executors import load_executor

    store = get_cache(cache)
    keys = [store.add_nb_to_project(str(path)).pk for path in sorted(folder.glob("*.ipynb"))]
    quiet = logging.getLogger("website.execution")
    quiet.setLevel(logging.ERROR)  # else every process of Sphinx tells of its life
    executor = load_executor("local-parallel", store, logger=quiet)
    executor.run_and_cache(filter_pks=keys, timeout=SECONDS)
