"""The page: what it says, what it lets in, and that everybody can read it."""

from __future__ import annotations

import base64
import hashlib
import importlib
import re
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chain_sets import DATABASE, archive, dirty, full, logs, part, streaming
from command_line import tokar as command
from report_pages import HOSTILE, Page, colours, contrast, make_sets, page_of_set
from small_sets import contents, write

import tokar
from tokar.errors import ExistingFileError, InputError, StorageError
from tokar.ese.log import LogHeader
from tokar.ese.values import Signature
from tokar.report.picture import picture_of
from tokar.report.render import WIDTH, page_of, shapes
from tokar.report.timeline import MOST_STREAMS

if TYPE_CHECKING:
    from collections.abc import Mapping

CSS = (Path(tokar.__file__).parent / "report" / "page.css").read_text(encoding="utf-8")
ALLOWED = {
    *("html", "head", "meta", "link", "title", "style", "body", "a", "header", "main", "footer", "section"),
    *("h1", "h2", "h3", "p", "b", "strong", "span", "div", "br", "pre", "code", "ol", "ul", "li"),
    *("details", "summary", "table", "thead", "tbody", "tr", "th", "td", "svg", "desc", "rect", "path"),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    made = make_sets(tmp_path_factory.mktemp("pages"))
    return {name: page_of_set(path) for name, path in made.items()}


def of_each(pages: Mapping[str, str]) -> list[tuple[str, Page]]:
    return [(name, Page(html)) for name, html in pages.items()]


def test_the_verdict_stands_first_and_is_that_of_check(pages: Mapping[str, str]) -> None:
    words = {name: Page(html).root.all("strong")[0].text for name, html in pages.items()}
    assert words == {
        "good": "NOT PROVEN",
        "hole": "NOT RESTORABLE",
        "fork": "NOT RESTORABLE",
        "hostile": "NOT PROVEN",
        "damaged": "NOT RESTORABLE",
        "folder": "RESTORABLE WITH LOSS",
    }


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        (
            "good",
            [
                "full.tokar",
                "full.tokar full, 0x5-0x7",
                "monday.tokar logs, 0x8-0x9",
                "needed by main.edb",
                "Outside of the set",
            ],
        ),
        (
            "good",
            [r"\\CA1\C$\CertLog\main.edb same token 0x44", "database (0x44) 1 file", "bit 0x20: the log directory"],
        ),
        ("good", ["the logs are truncated", "net start CertSvc", "tokar restore --chain", "tokar check --content"]),
        ("hole", ["missing 0xA-0xB", "logs 0xA-0xB are in none of the sets add the archive that has them"]),
        ("fork", ["two histories 0x8", "histories parted at generation 0x8"]),
        ("damaged", ["6 damaged pages among 900", "120 content and checksum do not fit JET_errReadVerifyFailure"]),
        ("folder", ["left out 0x90000-0x90005", "of another log stream than the databases here", "as they lie"]),
        ("folder", ["a checkpoint file, rebuilt by the engine"]),
        ("hostile", ["passed", "not looked at", "the archive keeps no list of places"]),
    ],
)
def test_a_page_says_what_there_is_to_see(name: str, texts: list[str], pages: Mapping[str, str]) -> None:
    text = Page(pages[name]).text
    assert [one for one in texts if one not in text] == []


def test_nothing_is_offered_that_would_be_refused(pages: Mapping[str, str]) -> None:
    for name in ("hole", "fork", "damaged", "folder"):
        assert "tokar restore" not in "".join(one.text for one in Page(pages[name]).root.all("pre"))


def test_no_name_becomes_anything_but_text(pages: Mapping[str, str]) -> None:
    for name, page in of_each(pages):
        for one in page.root.all():
            assert one.tag in {*ALLOWED, ""}, name
            assert not [key for key in one.attributes if key.startswith("on") or key in {"style", "src", "srcdoc"}]
            assert one.attributes.get("href", "#main") in {"#main", "data:,"}
    shown = HOSTILE.replace("<", "<U+003C>").replace("\u202e", "<U+202E>").replace("\x1b", "<U+001B>")
    hostile = pages["hostile"]
    assert f"needed by {shown}.edb" in Page(hostile).text
    assert "49" not in Page(hostile).root.all("strong")[0].text
    assert hostile.isprintable() or not re.search(r"[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069]", hostile)


def test_the_page_runs_nothing_and_loads_nothing(pages: Mapping[str, str]) -> None:
    for _, page in of_each(pages):
        (policy,) = (one for one in page.root.all("meta") if one.attributes.get("http-equiv"))
        (style,) = page.root.all("style")
        digest = base64.b64encode(hashlib.sha256(style.text.encode()).digest()).decode()
        assert policy.attributes["content"].split("; ") == [
            "default-src 'none'",
            f"style-src 'sha256-{digest}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
        assert "url(" not in style.text
        assert "@import" not in style.text


def test_landmarks_and_headings_are_in_order(pages: Mapping[str, str]) -> None:
    for _, page in of_each(pages):
        assert [len(page.root.all(tag)) for tag in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
        levels = [int(one.tag[1]) for one in page.root.all("h1", "h2", "h3")]
        assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
        for one in page.root.all("section"):
            assert one.attributes["aria-labelledby"] in {head.attributes.get("id") for head in page.root.all("h2")}
        assert page.root.all("html")[0].attributes["lang"] == "en"


def test_every_picture_has_a_text_and_every_id_is_there_once(pages: Mapping[str, str]) -> None:
    for _, page in of_each(pages):
        ids = [one.attributes["id"] for one in page.root.all() if "id" in one.attributes]
        assert len(ids) == len({*ids})
        for one in page.root.all("svg"):
            assert one.attributes["role"] == "img"
            assert [child.tag for child in one.children[:2]] == ["title", "desc"]
            assert all(child.text.strip() for child in one.children[:2])
            assert {*one.attributes.get("aria-labelledby", "").split()} <= {*ids}
        streams = len([one for one in page.root.all("h3") if one.text.startswith("Log stream")])
        assert len([one for one in page.root.all("summary") if one.text == "The same as a table"]) == streams


@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        *product(("ink", "soft", "good", "open", "bad"), ("ground", "panel")),
        *((tone, f"{tone}-ground") for tone in ("good", "open", "bad")),
        *product(("ink",), ("good-ground", "open-ground", "bad-ground")),
    ],
)
def test_every_text_is_told_from_its_ground(ink: str, ground: str) -> None:
    for named in colours(CSS):
        assert contrast(named[ink], named[ground]) >= 4.5


@pytest.mark.parametrize("lying", [True, False])
def test_a_redacted_page_names_no_folder_and_no_authority(lying: bool, tmp_path: Path) -> None:
    folder, name = tmp_path / "jdoe-secret" / "SECRETCA it's", "Secret Issuing CA"
    files = {f"{name}.edb": bytes(streaming(5, 7)), **part(5, 7), f"{name}.p12": b"x"}
    folder.mkdir(parents=True)
    if lying:
        write(folder, files)
    else:
        archive(folder / "SECRETHOST.tokar", files, kind="full", server="SECRETHOST")
    html = page_of_set(folder, redact=True)
    assert not re.search(f"secret|jdoe|{re.escape(str(tmp_path))}", html, re.IGNORECASE)
    assert "folder-1" in html


def test_a_redacted_page_names_nobody_and_still_tells_them_apart(tmp_path: Path) -> None:
    html = page_of_set(make_sets(tmp_path)["good"], redact=True)
    text = Page(html).text
    assert "CA1" not in text
    assert "main.edb" not in text
    assert r"\\host-1\C$\CertLog\database-1.edb" in text
    assert "needed by database-1.edb" in text
    assert "Names of machines, people, authorities, databases and folders are replaced." in text


def test_ten_thousand_logs_and_many_faults_stay_readable_and_small(tmp_path: Path) -> None:
    found = tokar.check([full(tmp_path).path], tokar.CheckRequest())
    picture = picture_of(found, [tmp_path])
    stream = picture["streams"]["rows"][0]
    stream |= {"low": 1, "high": 10_000}
    stream["rows"] = [{**stream["rows"][0], "cells": [0, 2] * 120}] * 250
    rung = picture["sets"][0]["rungs"][4]
    rung["faults"]["rows"] = [{"texts": ["x" * 300], "below": ["y" * 200] * 3, "tone": "bad"}] * 10
    picture["sets"] = picture["sets"] * 100
    assert len(page_of(picture)) < 2_000_000


def test_faults_of_which_the_same_is_said_are_one(tmp_path: Path) -> None:
    files = {
        DATABASE: bytes(dirty(5, 14)),
        **{name: data[:4096] + bytes(len(data) - 4096) for name, data in part(5, 14).items()},
    }
    page = Page(page_of_set(write(tmp_path / "set", files)))
    faults = [one.text for one in page.root.all("ul") if one.attributes.get("class") == "faults"]
    assert "edb00005.log has no content" in faults[0]
    assert "more like it" in faults[0]
    assert faults[0].count("next:") < 4


def test_sets_are_called_by_their_short_names_and_the_path_is_told_once(pages: Mapping[str, str]) -> None:
    text = Page(pages["fork"]).text
    assert "it is another log in one.tokar (created" in text
    assert text.count("/fork/one.tokar") == 1


def test_many_streams_and_long_names_stay_small(tmp_path: Path) -> None:
    (data,) = logs(5, 5, filled=1).values()
    header = LogHeader.parse(data[:4096])
    strays = {
        f"{'x' * 200}{number}.log": replace(header, signature=Signature(random=number)).build() + data[4096:]
        for number in range(60)
    }
    html = page_of_set(write(tmp_path / "set", {DATABASE: bytes(dirty(5, 7)), **part(5, 7), **strays}))
    assert Page(html).text.count("Log stream") == 1 + MOST_STREAMS
    assert "… and 40 more" in Page(html).text
    assert len(html) < 200_000


@pytest.mark.samples
def test_real_files_have_pages_too(samples: Path, tmp_path: Path) -> None:
    for folder in sorted(one for one in samples.iterdir() if one.is_dir()):
        out = tmp_path / f"{folder.name}.html"
        with suppress(tokar.NothingFoundError):
            tokar.report([folder], out)
            assert Page(out.read_text(encoding="utf-8")).root.all("h1")
            assert out.stat().st_size < 200_000


def test_a_picture_of_ten_thousand_logs_holds_no_list_of_them(tmp_path: Path) -> None:
    path = full(tmp_path).path
    found = tokar.check([path], tokar.CheckRequest())
    few = len(page_of(picture_of(found, [path])))
    assert few < 20_000


@pytest.mark.parametrize(
    ("cells", "committed", "found"),
    [
        ([0, 0], None, []),
        ([2, 2], None, [("all", 0, WIDTH)]),
        ([2, 1, 0, 2], None, [("all", 0, 250), ("part", 250, 250), ("all", 750, 250)]),
        ([2, 2, 2, 2], 2, [("all", 0, 500), ("committed", 500, 500)]),
        ([0] * 999 + [1], None, [("part", 996, 4)]),
        ([], None, []),
    ],
)
def test_shapes_lie_where_the_places_are(
    cells: list[int], committed: int | None, found: list[tuple[str, float, float]]
) -> None:
    assert [tuple(one) for one in shapes(cells, committed)] == found


def test_a_page_that_is_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path, out = full(tmp_path).path, tmp_path / "report.html"
    out.write_text("mine")
    with pytest.raises(ExistingFileError):
        tokar.report([path], out)
    assert out.read_text() == "mine"
    tokar.report([path], out, replace=True)
    assert out.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("place", ["gone/report.html", "."])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        pytest.fail("it was checked")

    path = full(tmp_path).path
    monkeypatch.setattr(importlib.import_module("tokar.report.render"), "check", never)
    with pytest.raises((StorageError, ExistingFileError)):
        tokar.report([path], tmp_path / place)


def test_no_archive_is_replaced_by_its_page(tmp_path: Path) -> None:
    path = full(tmp_path).path
    before = path.read_bytes()
    with pytest.raises(InputError):
        tokar.report([path], path, replace=True)
    assert path.read_bytes() == before


def test_nothing_of_a_folder_that_is_read_is_replaced_but_its_page_of_before(tmp_path: Path) -> None:
    path, out = full(tmp_path).path, tmp_path / "a.html"
    before = path.read_bytes()
    with pytest.raises(InputError):
        tokar.report([tmp_path], path, replace=True)
    assert path.read_bytes() == before
    for _ in range(2):
        tokar.report([tmp_path], out, replace=True)


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        tokar.report([], tmp_path / "a.html", tokar.CheckRequest(rehearse=tmp_path / "gone"))
    assert not contents(tmp_path)


def test_an_archive_that_cannot_be_read_has_a_page_too(tmp_path: Path) -> None:
    path = full(tmp_path).path
    path.write_bytes(path.read_bytes()[:-200])
    found = tokar.report([path], tmp_path / "a.html")
    text = Page((tmp_path / "a.html").read_text()).text
    assert found.exit_code == 5
    assert "sealed failed" in text
    assert f"tokar salvage {path}" in text


def test_the_page_takes_what_check_takes_by_the_same_rules(tmp_path: Path) -> None:
    path = full(tmp_path).path
    result = command("report", path, "-o", tmp_path / "a.html")
    assert result.exit_code == command("check", path).exit_code
