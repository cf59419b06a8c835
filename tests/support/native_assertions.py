"""The table of prototypes as assertions in C, for a compiler that has the public headers of Windows."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from tokar.live.prototypes import ADVAPI32, CERTADM, KERNEL32, NTDSBCLI, OLE32, SAME_SIZE

if TYPE_CHECKING:
    from tokar.live.prototypes import Table

TABLES = (CERTADM, NTDSBCLI, KERNEL32, OLE32, ADVAPI32)
_HEAD = """#include <windows.h>
#include <objbase.h>
#define _CERTCLI_
#include <certbcli.h>
#include <ntdsbcli.h>
#define SAME(function, result, ...) _Static_assert(__builtin_types_compatible_p(typeof(&function), \\
    result (WINAPI *)(__VA_ARGS__)), #function)
"""


def assertions(*tables: Table) -> str:
    """The C source: one assertion a function, and one a size."""
    lines = [_HEAD]
    for table in tables or TABLES:
        for name, (result, *parameters) in table.items():
            listed = ", ".join(one.header for one in parameters) or "void"
            lines.append(f"SAME({name}, {result.header}, {listed});")
    sizes = ((one.header, ctypes.sizeof(one.passed)) for one in SAME_SIZE)
    lines += [f'_Static_assert(sizeof({name}) == {size}, "{name}");' for name, size in sizes]
    return "\n".join(lines) + "\n"
