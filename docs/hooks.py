"""What the site has beside docs/: the specification, the examples, and the library as its docstrings tell it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File

import tokar

ROOT: Final = Path(__file__).parents[1]
_LINK: Final = re.compile(r"(\]\()([^)#\s:]+)((?:#[^)\s]*)?\))")
_WIDE: Final = {
    f"reference/{name}.md" for name in ("codes", "errors", "faults", "environment", "exit-codes")
}  # one table
_LIBRARY: Final = """# Every public name

What each name takes, returns and raises, from its docstring. [The library](api.md) is the shorter list, with examples.

"""


def on_files(files: Any, config: Any) -> Any:
    """Add what stands outside docs/."""
    for path in sorted([*ROOT.glob("spec/**/*.md"), *ROOT.glob("spec/schema/*.json"), *ROOT.glob("examples/**/*")]):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(ROOT).as_posix()
            files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    files.append(File.generated(config, "reference/library.md", content=library()))
    return files


def library() -> str:
    """Return the page about every public name, which the build fills in."""
    parts: dict[str, list[str]] = {"Functions": [], "Classes": [], "Errors": []}
    for name in tokar.__all__:
        found = getattr(tokar, name)
        if callable(found):
            is_error = isinstance(found, type) and issubclass(found, Exception)
            part = "Errors" if is_error else "Classes" if isinstance(found, type) else "Functions"
            where = f"{found.__module__}.{found.__name__}"
            parts[part].append(f"::: {where}\n    options:\n      heading: tokar.{name}\n      toc_label: {name}\n\n")
    return _LIBRARY + "".join(f"## {part}\n\n{''.join(sorted(found))}" for part, found in parts.items())


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links that are right in the checkout be right in the site too, where docs/ is the top."""
    uri = page.file.src_uri
    if uri in _WIDE:
        page.meta["hide"] = ["toc"]
    here = ROOT / uri if uri.startswith("spec/") else ROOT / "docs" / uri

    def moved(link: re.Match[str]) -> str:
        target = os.path.relpath(os.path.normpath(here.parent / link[2]), ROOT).replace(os.sep, "/")
        target = target.removeprefix("docs/")
        return link[1] + os.path.relpath(target, os.path.dirname(uri) or ".").replace(os.sep, "/") + link[3]  # noqa: PTH120 - of the site

    return _LINK.sub(moved, markdown)
