"""One rule for everything that is sent to somebody else."""

from __future__ import annotations

import base64
import cProfile
import json
from pathlib import Path

import pytest
from backup_files import fill
from command_line import done, tokar
from hypothesis import given
from hypothesis import strategies as st

from tokar.redact import Redactor
from tokar.server.contract import DIALECTS, BackupKind
from tokar.server.run_backup import run_backup
from tokar.sets.receipt import receipt_path
from tokar.testing.scripted_server import CallFault, ScriptedServer


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (r"reading \\CA1\C$\CertLog\Acme Root CA.edb", r"reading \\host-1\C$\CertLog\database-1.edb"),
        (r"\\ca1.corp.example\C$\a.log, CA1, corp.example", r"\\host-1\C$\a.log, host-1, domain-1"),
        ("ca://pki.acme.test/Acme-CA: refused; acme-ca", "ca://host-1/authority-1: refused; authority-1"),
        ("certadm:CA7 answered, ca7 ended", "certadm:host-1 answered, host-1 ended"),
        ("alice@acme.test may not", "user-1@domain-1 may not"),
        ("account: ACME\\alice\nACME, alice", "account: domain-1\\user-1\ndomain-1, user-1"),
        ("authority: Acme Root CA\nof Acme Root CA", "authority: authority-1\nof authority-1"),
        ("/home/alice/x and C:\\Users\\Bob\\y", "/home/user-1/x and C:\\Users\\user-2\\y"),
        ("10.1.2.3 and fe80::1:2 and 10.1.2.3", "address-1 and address-2 and address-1"),
        (
            "reached: pki7 port 1\nauthority: Root CA\nlogged on: ACME\\al by x, al",
            "reached: host-1 port 1\nauthority: authority-1\nlogged on: domain-1\\user-1 by x, user-1",
        ),
        (
            "ACME\\svc-backup may not; HKLM\\SYSTEM and CA\\InterfaceFlags stay",
            "domain-1\\user-1 may not; HKLM\\SYSTEM and CA\\InterfaceFlags stay",
        ),
        ("pki7.acme.test refused, and PKI7, and acme.test", "host-1 refused, and host-1, and domain-1"),
        ("full.tokar.receipt.json, tokar.server.contract, edb0001F.log.", None),
        (
            "HKLM\\x\\CertSvc\\Configuration\\Acme CA 2\r\nCertSvc\\Configuration\\RestoreInProgress\nof ACME CA 2",
            "HKLM\\x\\CertSvc\\Configuration\\authority-1\r\nCertSvc\\Configuration\\RestoreInProgress\nof authority-1",
        ),
        ("S-1-5-21-1-2-3-500 and S-1-5-32-551", "sid-1 and S-1-5-32-551"),
        ("password=hunter2 PassPhrase: 'a b'", "password=(left out) PassPhrase: (left out)"),
        ("at 12:30:45, 0xC7FF0003, edb00001.log, Windows 10.0.20348", None),
        (r"\\?\C:\x, \\.\pipe, priv.edb, localhost, 127.0.0.1, ::1", None),
        ("", None),
    ],
)
def test_names_become_words_and_all_else_stays(text: str, redacted: str | None) -> None:
    assert Redactor().text(text) == (text if redacted is None else redacted)


def test_a_name_that_is_given_goes_wherever_it_stands_as_a_word() -> None:
    given = "Acme's ACME, acmeware, x-acme_1, Straße, STRAßE"
    assert Redactor(["Acme", "straße"]).text(given) == "name-1's name-1, acmeware, x-name-1_1, name-2, name-2"


def test_a_name_is_the_same_word_in_every_text() -> None:
    one = Redactor()
    assert (one.text(r"\\A1\x"), one.text(r"\\B2\x and a1")) == (r"\\host-1\x", r"\\host-2\x and host-1")


def test_in_bytes_names_are_covered_and_nothing_moves() -> None:
    one = Redactor(["Acme"])
    data = b"\x05\x00ACME\x00" + "xAcme CA".encode("utf-16-le") + b"\xff"
    assert one.data(data) == b"\x05\x00xxxx\x00" + "xxxxx CA".encode("utf-16-le") + b"\xff"


@pytest.mark.parametrize("lines", [1, 2])
def test_the_bytes_in_a_trace_lose_a_name_that_is_given_later(lines: int, tmp_path: Path) -> None:
    stub = b"\1\2" + "D:\\Acme\\CertLog".encode("utf-16-le")
    trace = tmp_path / "probe.trace"
    trace.write_text(f'{{"event": "answer", "stub": "{stub.hex()}"}}\n' * lines)
    printed = done("redact", trace, "--name", "acme").stdout
    expected = b"\1\2" + "D:\\xxxx\\CertLog".encode("utf-16-le")
    assert printed.count(expected.hex()) == lines
    assert stub.hex() not in printed


def test_secrets_in_json_are_left_out_whatever_they_are() -> None:
    value = {"password": "x", "Credentials": {"a": 1}, "blobs": {"expiry_token": "AQ=="}, "token": 68, "secret": None}
    assert Redactor().value(value) == {
        "password": "(left out)",
        "Credentials": "(left out)",
        "blobs": {"expiry_token": "(left out)"},
        "token": 68,
        "secret": None,
    }


def test_a_name_under_a_speaking_key_goes_everywhere() -> None:
    value = {"note": "PKI7 was slow", "backup": {"server": "pki7"}}
    assert Redactor().value(value) == {"note": "host-1 was slow", "backup": {"server": "host-1"}}


def test_nothing_of_a_server_is_left_in_the_receipt_of_a_failed_backup(tmp_path: Path) -> None:
    names = {"\\\\PKI7\\D$\\db\\Acme CA.edb": 0}
    server = fill(ScriptedServer(dialect=DIALECTS["certadm"], name="PKI7.acme.test"))
    server.databases = {name: next(iter(server.databases.values())) for name in names}
    server.fault = lambda _number, call: CallFault.FAIL if call == "truncate_logs" else None
    out = tmp_path / "full.tokar"
    with pytest.raises(Exception, match="truncated"):
        run_backup(server, out, BackupKind.FULL)
    receipt = receipt_path(out)
    printed = done("redact", receipt, "--name", "S1").stdout
    assert json.loads(printed)["truncation"] == "failed"
    assert "host-1" in printed
    assert not any(word in printed.lower() for word in ("pki7", "acme", "\\\\s1"))


def test_names_in_base64_are_redacted_too() -> None:
    value = {"calls": [{"call": "open", "name": "XABcAFAASwBJADcAXABEACQAXABhAC4AbABvAGcA"}]}
    assert Redactor().value(value) == {"calls": [{"call": "open", "name": r"\\host-1\D$\a.log"}]}


def test_a_list_in_base64_keeps_its_form_and_loses_its_names() -> None:
    data = "D\\\\PKI7\\C$\\a.log\0\0".encode("utf-16-le")
    found = Redactor().value({"location_list": {"w": base64.b64encode(data).decode()}, "root": "aGVsbG8gd29ybGQh"})
    assert base64.b64decode(found["location_list"]["w"]) == data.replace("PKI7".encode("utf-16-le"), b"x\0" * 4)
    assert found["root"] == "aGVsbG8gd29ybGQh"


def test_keys_that_say_what_stands_under_them_stay() -> None:
    assert Redactor().value({"server": "server", "x": "server"}) == {"server": "host-1", "x": "host-1"}


@given(st.text(max_size=60))
def test_any_text_is_redacted_without_an_error_and_a_second_time_changes_nothing(text: str) -> None:
    once = Redactor().text(text)
    assert Redactor().text(once).count("-1") == once.count("-1")


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=9),
        lambda one: st.lists(one) | st.dictionaries(st.text(max_size=9), one),
    )
)
def test_any_value_is_redacted_without_an_error(value: object) -> None:
    json.dumps(Redactor().value(value))


def test_a_text_file_is_printed_without_names(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_text("\\\\CA1\\x\n\x1b[31mred\n")
    assert done("redact", path).stdout == "\\\\host-1\\x\n<U+001B>[31mred\n"


def test_what_windows_writes_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_text("\\\\CA1\\x", encoding="utf-16")
    assert done("redact", path).stdout == "\\\\host-1\\x\n"


@pytest.mark.parametrize("data", [b"\xff\0", bytes(range(256)), b"\xff\xfe\0\xd8"])
def test_what_is_no_text_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    result = tokar("redact", path)
    assert (result.exit_code, "it is no text" in result.error) == (2, True)


def test_what_a_console_writes_in_its_code_page_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_bytes("\\\\CA1\\x für\r\n".encode("cp850"))
    assert done("redact", path).stdout.startswith("\\\\host-1\\x f")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert tokar("redact", tmp_path / "gone").exit_code == 1


def test_identities_that_open_archives_are_left_out() -> None:
    secret = "AGE-SECRET-KEY-1CUSNAEAY6K2TCETDSWWS0S2HYC0V2SLQPRYATSPMD8PACXAZVNMSW3MWX8"
    for one in (secret, secret.lower()):
        assert one[15:] not in Redactor().text(f"cannot open ({one})")
        assert one[15:] not in json.dumps(Redactor().value({"path": one}))


def test_a_report_deeper_than_any_is_taken_as_text(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text('{"password": "open", "x": ' + "[" * 900 + "]" * 900 + "}")
    assert '"password": (left out),' in done("redact", tmp_path / "deep.json").stdout


def test_secrets_in_lines_of_json_are_left_out_too(tmp_path: Path) -> None:
    (tmp_path / "trace").write_text('{"password": "open sesame"}\n{"session_key" : "abc"}\n')
    assert done("redact", tmp_path / "trace").stdout == '{"password": (left out)}\n{"session_key" : (left out)}\n'


@pytest.mark.parametrize("name", ["a.b", "_x", "-q-", "x y", "Ä-1", "x."])
def test_a_name_is_replaced_where_it_stands_alone_and_not_inside_a_word(name: str) -> None:
    redactor = Redactor([name])
    assert redactor.text(f"{name}, ({name.upper()}) {name}") == "name-1, (name-1) name-1"
    assert redactor.text(f"1{name}1") == f"1{name}1"


def test_the_longest_of_the_names_that_begin_alike_is_replaced() -> None:
    assert Redactor(["pki", "pki.acme", "pki.acme.test"]).text("pki.acme.test pki.acme_x") == "name-3 name-2_x"


def test_very_many_names_cost_no_more_than_their_number() -> None:
    def calls(count: int) -> int:
        value = [{"server": f"host{at}", "text": f"on host{at}, host{at}"} for at in range(count)]
        profile = cProfile.Profile()
        profile.runcall(Redactor().value, value)
        return sum(one.callcount for one in profile.getstats())

    assert calls(800) < 2.5 * calls(400)
