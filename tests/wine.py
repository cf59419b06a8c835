"""Run the demo and the portable tests on Windows' Python under Wine: `make wine`, or `python -m tests.wine [TESTS...]`.

It needs wine (64 bits) and x86_64-w64-mingw32-gcc (Debian: wine, gcc-mingw-w64-x86-64), pip's index, and CPython of a
version that the package panda3d has wheels of. In build/wine it makes

* a CPython for Windows: its DLLs from `deploy_libs/` of the wheel of panda3d, its library that of the Python that runs
  this (the same version), and a launcher of ten lines;
* wheels for Windows of all that tokar and its tests need;
* python3.dll, which that wheel lacks and cryptography and pyrage want;
* what Wine 8 lacks: `ProcessPrng`, and functions of complex numbers, which numpy then imports from a DLL of ours.

Wine gives a process no standard stream that is a file: they are pipes, and standard input is nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
HOME: Final = ROOT / "build" / "wine"
VERSION: Final = f"{sys.version_info.major}{sys.version_info.minor}"
CONTENT: Final = ("blake3", "construct", "numpy>=2", "rich", "typer", "zstandard", "cryptography", "pyrage", "pyspnego")
TOOLS: Final = ("pytest", "hypothesis", "jsonschema", "colorama", "sspilib")
NOT_THERE: Final = {"test", "site-packages", "lib-dynload", "__pycache__", "idlelib", "tkinter"}
PORTABLE: Final = ("tests/storage", "tests/restore", "tests/collect/test_collect.py")
LAUNCHER: Final = """
#include <windows.h>
typedef int (*Main)(int, wchar_t **);
int wmain(int count, wchar_t **words) {
    HMODULE library = LoadLibraryW(L"python%s.dll");
    Main run = library ? (Main)GetProcAddress(library, "Py_Main") : 0;
    return run ? run(count, words) : 101;
}
"""
RANDOM: Final = """
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(void *, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *to, SIZE_T size) { return SystemFunction036(to, (ULONG)size); }
"""
MATH: Final = b"api-ms-win-crt-math-l1-1-0.dll"
OWN_MATH: Final = b"wine-math.dll".ljust(len(MATH), b"\0")
COMPLEX: Final = [
    "abs",
    "arg",
    "cos",
    "cosh",
    "exp",
    "imag",
    "pow",
    "real",
    "sin",
    "sinh",
    "tan",
    "tanh",
    "log",
    "sqrt",
    "acos",
    "asin",
    "atan",
    "acosh",
    "asinh",
    "atanh",
]


def run(*command: str | Path, **settings: str) -> int:
    """Run a command on Wine's side, print what it prints, and return its exit code."""
    environment = {**os.environ, "WINEPREFIX": str(HOME / "prefix"), "WINEDEBUG": "-all", **settings}
    with subprocess.Popen(
        [*map(str, command)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line.decode(errors="replace"))
            sys.stdout.flush()
    return process.returncode


def compiled(name: str, text: str, *flags: str) -> None:
    source = HOME / f"{name}.c"
    source.write_text(text, encoding="ascii")
    subprocess.run(
        ["x86_64-w64-mingw32-gcc", "-O1", *flags, "-o", HOME / "python" / name, source, "-ladvapi32"], check=True
    )


def downloaded(*packages: str, alone: bool = False) -> None:
    platform = ("--platform", "win_amd64", "--python-version", VERSION, "--only-binary=:all:")
    flags = ("--no-deps",) if alone else ()
    target = HOME / ("dlls" if alone else "wheels")
    command = (sys.executable, "-m", "pip", "download", "--quiet", *platform, *flags, "-d", target, *packages)
    subprocess.run(command, check=True)


def make_python() -> None:
    """Make the Python for Windows, unless it is there."""
    python = HOME / "python"
    if (HOME / "ready").exists():
        return
    shutil.rmtree(HOME, ignore_errors=True)
    python.mkdir(parents=True)
    downloaded("panda3d", alone=True)
    downloaded(*CONTENT, *TOOLS)
    with zipfile.ZipFile(next((HOME / "dlls").glob("*.whl"))) as wheel:
        for name in wheel.namelist():
            if name.startswith("deploy_libs/") and name[-1] != "/":
                (python / Path(name).name).write_bytes(wheel.read(name))
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, python / "Lib", ignore=lambda folder, _: NOT_THERE if Path(folder) == library else ())
    for path in (HOME / "wheels").glob("*.whl"):
        with zipfile.ZipFile(path) as wheel:
            wheel.extractall(python / "Lib" / "site-packages")
    compiled("python.exe", LAUNCHER % VERSION, "-municode")
    compiled("bcryptprimitives.dll", RANDOM, "-shared")
    make_math(python)
    make_stable(python)
    mend_metadata(python / "Lib" / "importlib" / "metadata" / "__init__.py")
    run("wineboot", "-i")
    run("winecfg", "-v", "win10")
    (HOME / "ready").touch()


def make_math(python: Path) -> None:
    """Make the functions that numpy imports and Wine lacks: of complex numbers, which nothing here computes with."""
    wanted: set[str] = set()
    for path in (python / "Lib" / "site-packages").glob("numpy*/**/*.[dp][ly][ld]"):
        data = path.read_bytes()
        if MATH in data:
            wanted.update(imported(path))
            path.write_bytes(data.replace(MATH, OWN_MATH))
    stems = {f"c{stem}{kind}": stem for stem in COMPLEX for kind in ("", "f", "l")}
    lines = ["typedef struct { float a, b; } F;", "typedef struct { double a, b; } D;"]
    for name in sorted(wanted & stems.keys()):
        pair, plain = ("F", "float") if name.endswith("f") else ("D", "double")
        result = plain if stems[name] in {"abs", "arg", "imag", "real"} else pair
        value = {"real": "z.a", "imag": "z.b"}.get(stems[name])
        body = f"return {value};" if value else f"{result} none = {{0}}; return none;"
        lines.append(f"{result} own_{name}({pair} z) {{ {body} }}")
    exports = [f"{name}=own_{name}" if name in stems else f"{name}=ucrtbase.{name}" for name in sorted(wanted)]
    definitions = HOME / "math.def"
    definitions.write_text("EXPORTS\n" + "\n".join(exports) + "\n", encoding="ascii")
    compiled("wine-math.dll", "\n".join(lines) + "\n", "-shared", "-fno-builtin", str(definitions))


def make_stable(python: Path) -> None:
    """Make python3.dll, which extensions for any version import: it hands on all that the library exports."""
    library = f"python{VERSION}"
    dump = subprocess.run(
        ["x86_64-w64-mingw32-objdump", "-p", python / f"{library}.dll"], capture_output=True, check=True
    ).stdout.decode(errors="replace")
    table = dump.partition("[Ordinal/Name Pointer] Table")[2].partition("\n\n")[0]
    names = [line.split()[-1] for line in table.splitlines() if "] " in line]
    definitions = HOME / "python3.def"
    exports = "".join(f"{name}={library}.{name}\n" for name in names if name.isidentifier())
    definitions.write_text(f"EXPORTS\n{exports}", encoding="ascii")
    compiled("python3.dll", "", "-shared", str(definitions))


def mend_metadata(module: Path) -> None:
    """Let the library be called as a later CPython of the same version calls it: its method became one of the class."""
    text = module.read_text(encoding="utf-8")
    method = "    def invalidate_caches(cls):\n"
    if f"@classmethod\n{method}" not in text:
        module.write_text(text.replace(method, f"    @classmethod\n{method}"), encoding="utf-8")


def imported(path: Path) -> Iterator[str]:
    """Yield the names that a DLL imports from the functions of numbers."""
    dump = subprocess.run(["x86_64-w64-mingw32-objdump", "-p", path], capture_output=True, check=True).stdout
    section = dump.decode(errors="replace").partition(f"DLL Name: {MATH.decode()}")[2].partition("DLL Name:")[0]
    for line in section.splitlines():
        words = line.split()
        if len(words) >= 3 and words[-1].isidentifier() and words[-2].isdigit():
            yield words[-1]


def main() -> int:
    missing = [name for name in ("wine", "x86_64-w64-mingw32-gcc") if shutil.which(name) is None]
    if missing:
        sys.stderr.write(f"not found: {', '.join(missing)}; Debian: apt-get install wine gcc-mingw-w64-x86-64\n")
        return 2
    make_python()
    python = HOME / "python" / "python.exe"
    places = ";".join(f"Z:{place}".replace("/", "\\") for place in (ROOT / "src", ROOT / "tests" / "support", ROOT))
    settings = {"PYTHONPATH": places, "PYTHONPYCACHEPREFIX": "C:\\pycache"}
    if not sys.argv[1:]:
        demo = run("wine", python, "-m", "tokar", "demo", "C:\\demo", **settings)
        if demo:
            return demo
    tests = sys.argv[1:] or [*PORTABLE, "-m", "not slow and not torture"]
    plain = ("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist", "-q", "--tb=short", "--basetemp=C:\\t")
    return run("wine", python, "-m", "pytest", *plain, *tests, **settings)


if __name__ == "__main__":
    sys.exit(main())
