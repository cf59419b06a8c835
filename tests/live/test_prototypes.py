"""The table of native prototypes: fixed widths, and those of the public headers."""

from __future__ import annotations

import ast
import ctypes
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from native_assertions import TABLES, assertions
from native_double import MINGW, SOURCE, WARNINGS, built, compiler

from tokar.errors import SourceError
from tokar.live import prototypes
from tokar.live.prototypes import CERTADM, NTDSBCLI, CType, load, wide

LIVE = Path(prototypes.__file__).parent
NOT_FIXED = {"c_long", "c_ulong", "c_wchar", "c_wchar_p", "c_int", "c_uint", "c_char_p", "c_size_t", "wintypes"}
FIXED = {
    *(ctypes.c_int32, ctypes.c_uint32, ctypes.c_void_p, None),
    *(ctypes.POINTER(one) for one in (ctypes.c_int32, ctypes.c_uint32, ctypes.c_int64, ctypes.c_void_p)),
    *(ctypes.POINTER(one) for one in (ctypes.c_uint16, prototypes.MapRow, prototypes.OnePrivilege)),
}


def compiled(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    source = tmp_path / "table.c"
    source.write_text(code)
    command = [compiler(MINGW), "-fsyntax-only", "-Wall", str(source)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_every_type_of_the_table_has_a_fixed_width() -> None:
    used = {one.passed for table in TABLES for row in table.values() for one in row}
    assert used <= FIXED


def test_no_module_of_native_libraries_uses_a_type_whose_width_depends_on_the_system() -> None:
    for path in LIVE.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not used & NOT_FIXED, path


@pytest.mark.slow
def test_every_function_is_as_the_public_headers_have_it(tmp_path: Path) -> None:
    result = compiled(assertions(), tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), (CType(ctypes.c_int64, "long long *"),)], ids=["too-few", "another-kind"])
def test_a_parameter_too_few_or_of_another_kind_is_found(more: tuple[CType, ...], tmp_path: Path) -> None:
    table = {**CERTADM, **NTDSBCLI}
    result = compiled(assertions({name: (*row[:-1], *more) for name, row in table.items()}), tmp_path)
    assert {name for name in table if f'static assertion failed: "{name}"' in result.stderr} == set(table)


def windows_library(folder: Path) -> Path:
    """The double as a library of Windows."""
    library = folder / "certadm.dll"
    build = [compiler(MINGW), "-shared", *WARNINGS, "-Wno-attributes", "-o", str(library), str(SOURCE)]
    result = subprocess.run(build, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    return library


@pytest.mark.slow
def test_the_double_compiles_as_a_library_of_windows_and_exports_every_function(tmp_path: Path) -> None:
    """Its definitions stand beside the public headers: were a prototype another one, it would not compile."""
    library = windows_library(tmp_path)
    tool = shutil.which("x86_64-w64-mingw32-objdump")
    assert tool is not None
    listed = subprocess.run([tool, "-p", str(library)], capture_output=True, text=True, check=True, timeout=60).stdout
    exports = {line.split()[-1] for line in listed.splitlines() if line.strip().startswith("[") and line.split()}
    assert {*CERTADM, *NTDSBCLI} <= exports


LOADER = """#include <windows.h>
#include <stdio.h>
int main(int count, char **names)
{
    HMODULE library = LoadLibraryA(names[1]);
    for (int at = 2; at < count; at++)
        if (!library || !GetProcAddress(library, names[at]))
            return printf("%s\\n", names[at]);
    return 0;
}
"""


@pytest.mark.torture
def test_wine_loads_the_library_and_finds_every_function(tmp_path: Path) -> None:
    wine, server = shutil.which("wine"), shutil.which("wineserver")
    if wine is None:
        pytest.skip("there is no Wine")
    library = windows_library(tmp_path)
    (tmp_path / "load.c").write_text(LOADER)
    build = [compiler(MINGW), "-o", str(tmp_path / "load.exe"), str(tmp_path / "load.c")]
    subprocess.run(build, check=True, timeout=60)
    environment = {**os.environ, "WINEPREFIX": str(tmp_path / "prefix"), "WINEDEBUG": "-all"}
    command = [wine, str(tmp_path / "load.exe"), library.name, *CERTADM, *NTDSBCLI]
    try:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=300)
    finally:
        if server is not None:
            subprocess.run([server, "-k"], env=environment, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"")


def test_the_table_loads_from_the_double() -> None:
    assert set(load(built(), CERTADM)) == set(CERTADM)


def test_a_library_that_is_not_there_is_an_error_with_the_next_step() -> None:
    with pytest.raises(SourceError, match=r"nowhere\.dll cannot be loaded") as caught:
        load("nowhere.dll", CERTADM)
    assert caught.value.hint is not None


def test_a_library_that_lacks_a_function_is_an_error() -> None:
    with pytest.raises(SourceError, match="has no function CertSrvFlyW"):
        load(built(), {"CertSrvFlyW": CERTADM["CertSrvBackupEnd"]})


@pytest.mark.parametrize(
    ("text", "units"),
    [("CA1", b"C\0A\x001\0\0\0"), ("", b"\0\0"), (b"\x41\x00\x00\x01", b"\x41\0\0\x01\0\0"), ("\ud800", b"\0\xd8\0\0")],
)
def test_text_is_passed_in_units_of_16_bits_with_its_end(text: str | bytes, units: bytes) -> None:
    assert bytes(wide(text)) == units


@pytest.mark.parametrize("text", ["a\0b", b"abc", b"a\0\0\0", "\0"])
def test_text_that_a_call_would_cut_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="an end within, or half a character"):
        wide(text)


def test_the_contract_under_wine() -> None:
    """The suite would run there as it does here; Wine alone has no Python."""
    if shutil.which("wine") is None:
        pytest.skip("there is no Wine")
    found = shutil.which("python.exe")
    if found is None:
        pytest.skip("there is no Python for Windows under Wine: put a python.exe on the PATH")
    suite = Path(__file__).with_name("test_contract_native.py")
    command = ["wine", found, "-m", "pytest", "-q", str(suite)]
    assert subprocess.run(command, check=False, timeout=600).returncode == 0
