"""Pages in a real browser: what is seen, that nothing lies on anything else, and that no name does anything.

The pictures that it takes are kept in build/report, to look at.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from report_pages import make_sets, page_of_set

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHOTS = Path(__file__).parents[2] / "build" / "report"
SETS = ("good", "hole", "fork", "hostile", "damaged", "folder")
WIDTHS = (360, 1024, 1920)
A4 = 680  # points of CSS between the margins

# Where texts and shapes lie that can be seen, and which of them lie on each other.
LAYOUT = """() => {
  const boxes = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.data.trim() || parent.closest('svg, .skip')) continue;
    if (!parent.checkVisibility({contentVisibilityAuto: true, opacityProperty: true})) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) if (box.width > 1 && box.height > 1 && box.x > -500)
      boxes.push([box.x, box.y, box.right, box.bottom, node.data.trim().slice(0, 60), boxes.length]);
  }
  const texts = boxes.length;
  for (const shape of document.querySelectorAll('svg path')) {
    if (!shape.checkVisibility()) continue;
    const box = shape.getBoundingClientRect();
    if (box.width) boxes.push([box.x, box.y, box.right, box.bottom, 'shape ' + shape.getAttribute('class'), -1]);
  }
  const on = [];
  for (let i = 0; i < texts; i++) for (let j = i + 1; j < boxes.length; j++) {
    const [a, b] = [boxes[i], boxes[j]];
    if (Math.min(a[2], b[2]) - Math.max(a[0], b[0]) > 1.5 && Math.min(a[3], b[3]) - Math.max(a[1], b[1]) > 1.5)
      on.push([a[4], b[4]]);
  }
  return {on, texts, beyond: document.documentElement.scrollWidth - document.documentElement.clientWidth};
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def pages(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Page, list[str]]]:
    """Each page, loaded once, with what the browser complained of."""
    made, opened = make_sets(tmp_path_factory.mktemp("browser")), {}
    SHOTS.mkdir(parents=True, exist_ok=True)
    for name, path in made.items():
        page_of_set(path)
        page = browser.new_page()
        page.set_default_timeout(10_000)
        opened[name] = page, listened(page)
        page.goto((path.parent / f"{path.name}.html").as_uri())
    return opened


def listened(page: Page) -> list[str]:
    """What a page complains of, and what it asks for."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: said.append(request.url))
    return said


def layout(page: Page, width: int) -> dict[str, Any]:
    page.set_viewport_size({"width": width, "height": 900})
    found: dict[str, Any] = page.evaluate(LAYOUT)
    return found


@pytest.mark.parametrize("name", SETS)
def test_nothing_is_complained_of_nothing_is_run_and_nothing_is_loaded(
    name: str, pages: dict[str, tuple[Page, list[str]]]
) -> None:
    page, said = pages[name]
    assert [one for one in said if not one.startswith(("data:", "file:"))] == []
    assert page.locator("script, img, iframe, object, form, [onerror], [onclick]").count() == 0


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SETS)
def test_nothing_lies_on_anything_else_or_beyond_the_edge(
    name: str, width: int, pages: dict[str, tuple[Page, list[str]]]
) -> None:
    page, _ = pages[name]
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found = layout(page, width)
    page.screenshot(path=SHOTS / f"{name}-{width}.png", full_page=True)
    assert found["texts"] > 50
    assert (found["on"], found["beyond"]) == ([], 0)


@pytest.mark.parametrize("name", SETS)
def test_a_page_prints_on_a4_in_light_with_its_pictures(name: str, pages: dict[str, tuple[Page, list[str]]]) -> None:
    page, _ = pages[name]
    page.emulate_media(media="print", color_scheme="dark")
    found = layout(page, A4)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.screenshot(path=SHOTS / f"{name}-print.png", full_page=True)
    paper = page.pdf(path=SHOTS / f"{name}.pdf", prefer_css_page_size=True)
    page.emulate_media(media="screen", color_scheme="light")
    assert (found["on"], found["beyond"], ground) == ([], 0, "rgb(255, 255, 255)")
    assert paper.startswith(b"%PDF")
    assert paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ") <= 8


def test_a_dark_screen_gets_a_dark_page(pages: dict[str, tuple[Page, list[str]]]) -> None:
    page, _ = pages["hole"]
    page.emulate_media(color_scheme="dark")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.set_viewport_size({"width": 1024, "height": 900})
    page.screenshot(path=SHOTS / "hole-dark.png", full_page=True)
    page.emulate_media(color_scheme="light")
    assert ground == "rgb(14, 17, 22)"


def test_the_keyboard_reaches_all_that_can_be_opened_and_copied(pages: dict[str, tuple[Page, list[str]]]) -> None:
    page, _ = pages["good"]
    page.reload()
    expected = ["A", *["PRE"] * page.locator("pre").count(), *["SUMMARY"] * page.locator("summary:visible").count()]
    reached = []
    for _step in expected:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName"))
    assert reached == expected


def test_the_bars_are_as_long_as_the_logs_are_many(pages: dict[str, tuple[Page, list[str]]]) -> None:
    page, _ = pages["hole"]
    page.set_viewport_size({"width": 1024, "height": 900})
    widths = [
        one.bounding_box()["width"] / page.locator("svg.line").first.bounding_box()["width"]  # type: ignore[index]
        for one in page.locator("svg.line path").all()
    ]
    logs = [3 / 16, 2 / 16, 9 / 16]  # of the full, of Monday, of Wednesday
    assert widths[:3] == pytest.approx(logs, abs=0.01)
