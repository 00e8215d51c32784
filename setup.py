"""What the package says of its address; everything else is in pyproject.toml.

The address is that of the clone the package is built from (its git remote `origin`), so it is
written nowhere and a fork names itself. README's links are relative, for readers of the clone;
in a package index they must be absolute. Without an address they stay as they are.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
PAPER = "https://arxiv.org/abs/2511.06686"


def address(remote: str) -> str | None:
    """The page of a repository from what git calls its remote; None if that is no web address."""
    remote = re.sub(r"^(ssh://)?git@([^:/]+)[:/]", r"https://\2/", remote.strip())
    remote = re.sub(r"^(https?://)[^/@]*@", r"\1", remote)  # no user name, no token
    return remote.removesuffix(".git") if re.match(r"https?://[^/]+/.+/.+", remote) else None


def absolute(text: str, page: str | None) -> str:
    """A Markdown text whose relative links and images lead to the repository's page."""
    if page is None:
        return text
    text = re.sub(r"!\[([^]]*)\]\((?!https?:|#)", rf"![\1]({page}/raw/HEAD/", text)
    return re.sub(r"(?<!!)\[([^]]*)\]\((?!https?:|#)", rf"[\1]({page}/blob/HEAD/", text)


def urls(page: str | None) -> dict[str, str]:
    """The links of the package's page."""
    if page is None:
        return {"Paper": PAPER}
    return {
        "Source": page,
        "Documentation": f"{page}/tree/HEAD/docs",
        "Changelog": f"{page}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{page}/issues",
        "Paper": PAPER,
    }


def origin() -> str:
    """The remote of this checkout, or what an archive made from one has kept; may be empty."""
    kept = HERE / "PKG-INFO"
    if kept.exists():
        found = re.search("^Project-URL: Source, (.+)$", kept.read_text(encoding="utf-8"), re.M)
        return found[1] if found else ""
    if not (HERE / ".git").exists():
        return ""
    command = ["git", "-C", str(HERE), "config", "--get", "remote.origin.url"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:  # no git
        return ""


if __name__ == "__main__":
    page = address(origin())
    setup(
        long_description=absolute((HERE / "README.md").read_text(encoding="utf-8"), page),
        long_description_content_type="text/markdown",
        project_urls=urls(page),
    )
