"""Lets the page about the library show what stands in the line beside a field, as other docstrings."""

from __future__ import annotations

from typing import Any, Final

from griffe import Attribute, Docstring, Extension

_MARK: Final = "  # "


class FieldComments(Extension):
    """Takes the comment behind a field for its docstring."""

    def on_attribute_instance(self, *, attr: Attribute, **_: Any) -> None:
        """Give a field its docstring."""
        if attr.docstring is None and attr.lines:
            comment = attr.lines[0].partition(_MARK)[2]
            if comment and not comment.startswith(("type:", "noqa")):
                attr.docstring = Docstring(comment, parent=attr)
