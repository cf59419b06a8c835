"""Makes docs/report.png, the picture of a report in README: `make picture`. It needs Playwright and a chromium.

A simulated authority is backed up on four days, and the archive of one day is lost. All that is seen is the same every
time but for how the fonts of the system look.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parent / "report.png"
WIDTH = 860
COMMANDS = """
lab new ca --profile certadm
lab work ca
backup lab:ca full.tokar --type full
lab work ca -n 120
backup lab:ca monday.tokar --type incremental --after full.tokar
lab work ca -n 120
backup lab:ca tuesday.tokar --type incremental --after monday.tokar
lab work ca -n 120
backup lab:ca wednesday.tokar --type incremental --after tuesday.tokar
report full.tokar monday.tokar wednesday.tokar
"""


def main() -> None:
    """Make the picture."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("there is no chromium here: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        for line in COMMANDS.strip().splitlines():
            subprocess.run(  # noqa: S603 - the words above
                [sys.executable, "-m", "tokar", *line.split()],
                cwd=folder,
                check=not line.startswith("report"),  # which ends with the verdict
                capture_output=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")},
            )
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": 800})
            page.goto(Path(folder, "report.html").as_uri())
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = false)")
            end = page.locator("#h-databases").bounding_box()
            assert end is not None
            height = int(end["y"]) - 24
            page.screenshot(path=PICTURE, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
            browser.close()


if __name__ == "__main__":
    main()
