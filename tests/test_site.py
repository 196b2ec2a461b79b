"""The documentation as a site: it is built by one command, no link is dead, nothing is fetched."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs/build.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_build"] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["docs_build"]


def test_the_site_is_built_and_needs_no_network(build, tmp_path):
    out = tmp_path / "site"
    out.mkdir()
    (out / "old.html").write_text("what an earlier build left")
    assert build.build(out) > 30
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
