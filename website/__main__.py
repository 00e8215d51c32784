"""Build the site: `python -m website --out build/site`. It can be read without a server."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from website import card, execution, extra, links, stage

HERE = Path(__file__).resolve().parent


def sphinx(source: Path, out: Path, doctrees: Path, jobs: str) -> int:
    """Call Sphinx. Every warning is an error, but for those that conf.py names."""
    from sphinx.cmd.build import main

    options = ["-b", "html", "-W", "--keep-going", "-q", "-j", jobs, "-c", str(HERE)]
    return int(main([*options, "-d", str(doctrees), str(source), str(out)]))


def main(arguments: list[str] | None = None) -> int:
    """Gather the sources, build the pages, check the links."""
    parser = argparse.ArgumentParser(prog="python -m website", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/site"), help="the folder to make")
    parser.add_argument(
        "--work", type=Path, default=Path("build/site-work"), help="what a second build need not do"
    )
    parser.add_argument("--jobs", default="2", help="processes of Sphinx")
    parser.add_argument(
        "--no-notebooks", action="store_true", help="do not execute notebooks: for a quick look"
    )
    chosen = parser.parse_args(arguments)
    begin = time.perf_counter()
    work = chosen.work.resolve()
    beside = work / "extra"
    (work / "jupyter").mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "SITE_CACHE": str(work / "notebooks"),
        "SITE_EXTRA": str(beside),
        "SITE_NOTEBOOKS": "off" if chosen.no_notebooks else "cache",
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), *sys.path]),  # notebooks see this package
        "JUPYTER_DATA_DIR": str(work / "jupyter"),  # nobody's own kernel of the name python3
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    extra.write(beside)
    card.write(beside / "card.png")
    tree = stage.gather()
    stage.write(tree, work / "source")
    stage.clear(tree, chosen.out)
    if not chosen.no_notebooks:
        execution.execute(work / "source" / "notebooks", work / "notebooks")
    status = sphinx(work / "source", chosen.out, work / "doctrees", chosen.jobs)
    if status:
        shutil.rmtree(work / "doctrees", ignore_errors=True)  # else the next build is silent
        return status
    faults = list(links.faults(chosen.out))
    print("\n".join(faults), end="\n" * bool(faults), file=sys.stderr)
    pages = sum(1 for _ in chosen.out.rglob("*.html"))
    took = time.perf_counter() - begin
    print(f"{pages} pages in {took:.0f} s, {len(faults)} broken links: {chosen.out / 'index.html'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
