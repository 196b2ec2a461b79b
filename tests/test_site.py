"""The documentation as a site: it is built by one command, no link is dead, nothing is fetched."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from chromium import browser, needed, prefer, resize, text, until
from contrast import faint

ROOT = Path(__file__).parents[1]
FOCUSED = """
let at = document.activeElement;
while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
return at?.tagName;
"""


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs/build.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_build"] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["docs_build"]


@pytest.fixture(scope="module")
def site(build, tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    (out / "old.html").write_text("what an earlier build left")
    assert build.build(out) > 30
    return out


def test_the_site_is_built_and_needs_no_network(site):
    out = site
    assert not (out / "old.html").exists()
    for page in out.rglob("*.html"):
        text = page.read_text()
        assert not re.findall(r'<(?:script|img|iframe)[^>]*src="https?:', text), page
        assert not re.findall(r'<link[^>]*rel="stylesheet"[^>]*href="https?:', text), page
        for image in re.findall(r"<img[^>]*>", text):
            assert re.search(r'alt="[^"]+"', image), (page, image)
    worlds = (out / "docs/api/worlds.html").read_text()
    assert "N worlds of one family with their tasks" in worlds
    assert "load_state_dict" in worlds


def test_every_page_of_the_docs_is_in_it(build):
    listed = {path for rows in build.NAV.values() for _, path in rows}
    pages = {str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")}
    assert pages <= listed


def test_dead_links_are_told(build, tmp_path, monkeypatch):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there"></a><a href="#here"></a><img src="x.png">'
    )
    (tmp_path / "b.html").write_text('<p id="there">')
    assert list(build.dead_links(tmp_path)) == ["a.html: #here", "a.html: x.png"]
    (tmp_path / "x.png").touch()
    (tmp_path / "b.html").write_text("<p>")
    assert list(build.dead_links(tmp_path)) == ["a.html: #here", "a.html: b.html#there"]

    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "NAV", {"Start": [("one", "one.md")]})
    (tmp_path / "one.md").write_text("[a](two.md) [b](https://example.org) [c](three.md#x)")
    (tmp_path / "two.md").write_text("[up](../secret.md)")
    with pytest.raises(SystemExit, match=r"one\.md: three\.md\ntwo\.md: \.\./secret\.md"):
        build.gather(tmp_path / "pages")


@needed
def test_its_search_works_without_a_server(site):
    pytest.importorskip("selenium", reason="needs selenium")
    with browser((site / "docs/runs.html").as_uri(), 1000, 700) as driver:
        driver.set_network_conditions(offline=True, latency=0, throughput=0)
        driver.find_element("class name", "md-search__button").click()
        until(lambda: driver.execute_script(FOCUSED) == "INPUT")
        driver.switch_to.active_element.send_keys("residual search")
        until(lambda: re.search(r"\b[1-9]\d* results", text(driver)))
        driver.switch_to.active_element.send_keys("\n")
        until(lambda: "/docs/results.html" in driver.current_url)
        assert "residual search" in text(driver).lower()


@needed
def test_it_can_be_read_in_light_and_dark(site):
    pytest.importorskip("selenium", reason="needs selenium")
    with browser(width=1400, height=900) as driver:
        for page in ("index", "docs/perception", "docs/commands", "docs/api/worlds"):
            for scheme in ("light", "dark"):
                prefer(driver, scheme)
                driver.get((site / f"{page}.html").as_uri())
                for width in (400, 1400):
                    resize(driver, width, 900)
                    paper = driver.find_element("tag name", "body").value_of_css_property("color")
                    assert ("rgba(0, 0, 0" in paper) == (
                        scheme == "light"
                    )  # as the browser prefers
                    assert faint(driver) == [], (page, scheme, width)
                    wide = driver.execute_script("return document.documentElement.scrollWidth")
                    assert wide <= width, (page, width)
