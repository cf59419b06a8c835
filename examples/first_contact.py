"""Runs tokar against a real server step by step; keeps what came of it, fit to be sent: docs/how-to/first-contact.md.

    python first_contact.py certadm: out
    python first_contact.py ca://ca1.example.com out --option=--user=backup@EXAMPLE.COM

A copy changes nothing on the server. With --truncate a full and an incremental follow, after which the server deletes
logs that are in them. Everything is kept in the folder; what may be sent is in its subfolder `send`, where names of
machines and people are replaced. Read it before you send it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tokar.redact import Redactor

EXPERIMENTAL = {"ca", "certadm", "ntdsbcli"}  # these truncate only with --truncate


@dataclass
class Contact:
    """One run against one server."""

    source: str
    out: Path
    options: list[str] = field(default_factory=list)  # for every command that names the server
    outcomes: dict[str, int] = field(default_factory=dict)  # the exit code of each step

    def tokar(self, name: str, *command: str) -> bool:
        """Run a command of tokar, and return whether it succeeded."""
        return self.run(name, sys.executable, "-m", "tokar", *command)

    def run(self, name: str, *command: str) -> bool:
        """Run a command, keep what it printed, and go on whatever it came to."""
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
        self.outcomes[name] = done.returncode
        (self.out / f"{name}.stdout").write_text(done.stdout, encoding="utf-8")
        (self.out / f"{name}.stderr").write_text(f"{done.stderr}exit code {done.returncode}\n", encoding="utf-8")
        sys.stdout.write(f"{name}: exit code {done.returncode}\n")
        return done.returncode == 0

    def path(self, name: str) -> str:
        """Return the path of something that a step makes."""
        return str(self.out / name)

    def look(self) -> bool:
        """Find out what can be found out without a change, take a copy, and return whether it is whole."""
        self.tokar("version", "--version")
        self.tokar("sources", "sources", "--json")
        self.tokar("probe", "probe", self.source, "--list", *self.of_server("probe"))
        return self.back_up("copy", "--type", "copy") and self.judge("copy")

    def of_server(self, name: str) -> list[str]:
        """Return the options for a step that names the server; what goes over a network is traced."""
        trace = ["--trace", self.path(f"{name}.trace")] if self.source.startswith("ca:") else []
        return [*trace, *self.options]

    def back_up(self, name: str, *options: str) -> bool:
        """Make an archive."""
        return self.tokar(name, "backup", self.source, self.path(f"{name}.tokar"), *options, *self.of_server(name))

    def judge(self, *names: str) -> bool:
        """Check archives and show their entries."""
        paths = [self.path(f"{name}.tokar") for name in names]
        self.tokar(f"{names[-1]}-entries", "inspect", "--entries", "--json", paths[-1])
        return self.tokar(f"{names[-1]}-check", "check", "--content", "--json", *paths)

    def truncate(self) -> None:
        """Take a full and an incremental, which let the server delete logs."""
        allowed = ["--truncate"] if self.source.partition(":")[0] in EXPERIMENTAL else []
        if self.back_up("full", "--type", "full", *allowed) and self.judge("full"):
            after = ("--type", "incremental", "--after", self.path("full.tokar"))
            if self.back_up("incremental", *after, *allowed):
                self.judge("full", "incremental")

    def esentutl(self) -> None:
        """Let the engine's own tool say what it sees in the copy; on Windows only."""
        tool = shutil.which("esentutl")
        files = self.out / "files"
        if tool is None or not self.tokar("files", "restore", self.path("copy.tokar"), "--into", str(files)):
            return
        databases = [one for one in files.iterdir() if one.suffix.lower() in {".edb", ".dit"}]
        logs = sorted(one for one in files.iterdir() if one.suffix.lower() in {".log", ".jtx"})
        for number, one in enumerate(databases, 1):
            self.run(f"esentutl-mh-{number}", tool, "/mh", str(one))
        for name, log in zip(("first", "last"), (logs[0], logs[-1]) if logs else (), strict=False):
            self.run(f"esentutl-ml-{name}", tool, "/ml", str(log))
        if logs:  # of a copy from a running server -544 is what the documents lead to expect
            base = logs[0].name[:3]
            self.run("esentutl-r", tool, "/r", base, "/l", str(files), "/s", str(files), "/d", str(files))

    def redact(self, names: list[str]) -> None:
        """Write everything once more without names: learnt from all of it first, then replaced in all of it."""
        redactor, send = Redactor(names), self.out / "send"
        send.mkdir()
        redactor.text("\n".join([self.source, *self.options]))
        for _ in range(2):
            for name, text in self._printed():
                (send / name).write_text(_redacted(redactor, text), encoding="utf-8")
        summary = "".join(f"{name}: exit code {code}\n" for name, code in self.outcomes.items())
        (send / "summary.txt").write_text(redactor.text(summary), encoding="utf-8")

    def _printed(self) -> Iterator[tuple[str, str]]:
        for path in sorted(self.out.iterdir()):
            if path.suffix in {".stdout", ".stderr", ".json", ".trace"}:
                yield path.name, path.read_text(encoding="utf-8", errors="replace")


def _redacted(redactor: Redactor, text: str) -> str:
    try:
        return json.dumps(redactor.value(json.loads(text)), indent=1)
    except ValueError:
        return redactor.text(text)


def main() -> int:
    """Run all steps; return 0 where the copy is whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="as tokar sources lists them: certadm:, ca://HOST")
    parser.add_argument("out", type=Path, help="a folder to make")
    parser.add_argument("--truncate", action="store_true", help="take a full and an incremental too: logs are deleted")
    parser.add_argument(
        "--option", action="append", default=[], help="an option for each command that names the server"
    )
    parser.add_argument("--name", action="append", default=[], help="a name to replace, wherever it stands")
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    contact = Contact(given.source, given.out, given.option)
    whole = contact.look()
    if whole and given.truncate:
        contact.truncate()
    contact.esentutl()
    contact.redact(given.name)
    sys.stdout.write(f"read what is in {given.out / 'send'}, and send that\n")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
