"""The site of the manual: every link leads somewhere, and nothing is loaded from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ELSEWHERE = re.compile(r"""(?:src=|<link[^>]*href=|url\(|@import\s+)["']?(?:https?:)?//[^"'\s)]+""")

pytestmark = pytest.mark.torture  # it takes as long as 300 other tests; .ci/run makes the site too


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material")
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    here = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=here, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


def test_the_site_is_made_without_a_warning_and_has_the_specification(site: Path) -> None:
    assert {"index.html", "how-to", "reference", "spec"} <= {one.name for one in site.iterdir()}
    assert "REC-3" in (site / "spec" / "format.html").read_text(encoding="utf-8")


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert [found for one in pages for found in ELSEWHERE.findall(one.read_text(encoding="utf-8"))] == []


def test_every_public_name_is_explained(site: Path) -> None:
    import tokar  # noqa: PLC0415 - beside the site alone

    text = (site / "reference" / "library.html").read_text(encoding="utf-8")
    named = set(re.findall(r">\s*tokar\.(\w+)\s*<", text))
    missing = [name for name in tokar.__all__ if name != "__version__" and name not in named]
    assert missing == []
