"""Build the documentation as a site that needs no network.

    python docs/build.py            into site/; open site/index.html
    python docs/build.py --serve    and show it at http://127.0.0.1:8000

Pages are README.md, docs/ and what they link to, in the places in which they stand here, so that links
hold in both. Pages of the Python interface are written from docstrings. A link that leads nowhere is an
error.
"""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import tyro

ROOT = Path(__file__).resolve().parents[1]
NAV: dict[str, Sequence[tuple[str, str]]] = {
    "Start here": [("metarl", "index.md"), ("Commands", "docs/commands.md")],
    "Bring yours": [
        ("A task family", "docs/your-family.md"),
        ("A method or a strategy", "docs/plugins.md"),
        ("A robot", "docs/robots.md"),
        ("A policy", "docs/sources.md"),
        ("Pictures", "docs/perception.md"),
        ("A training loop", "docs/environments.md"),
        ("Somebody else's environments", "docs/other-environments.md"),
    ],
    "Learn and reuse": [
        ("Many tasks, robots and skills", "docs/multitask.md"),
        ("Does it help?", "docs/matrix.md"),
        ("Will it help?", "docs/advice.md"),
        ("Better settings", "docs/tune.md"),
        ("A benchmark of yours", "docs/benchmarks.md"),
        ("Run folders", "docs/runs.md"),
        ("Physics on a GPU", "docs/physics.md"),
    ],
    "Tables": [
        ("Read one, run it again", "docs/tables.md"),
        ("Learning tasks never seen", "docs/results.md"),
        ("Adaptation, every row", "benchmarks/results/adaptation.md"),
        ("Transfer, every number", "benchmarks/results/transfer-matrix/matrix.md"),
        ("Pairs that never met", "benchmarks/results/unseen-pairs/pairs.md"),
        ("How everything was measured", "benchmarks/README.md"),
    ],
    "Reference": [
        ("Families, robots, dishes", "docs/families.md"),
        ("Checks", "docs/checks.md"),
        ("Design", "docs/design.md"),
    ],
}
API = {
    "Families": [
        "metarl.family",
        "metarl.types",
        "metarl.registry",
        "metarl.names",
        "metarl.rewards",
    ],
    "Worlds": ["metarl.sim.worlds", "metarl.sim.kinds", "metarl.sim.scene", "metarl.streams"],
    "Environments of others": ["metarl.sim.outside.family", "metarl.sim.outside.scene"],
    "Training": ["metarl.learn.train", "metarl.methods", "metarl.learn.config"],
    "Adapting": ["metarl.adapt.evaluate", "metarl.adapt.protocol", "metarl.adapt.adaptation"],
    "Reuse": ["metarl.transfer.strategy", "metarl.sources", "metarl.advise", "metarl.matrix.run"],
    "Benchmarks": [
        "metarl.benchmark.sections",
        "metarl.benchmark.run",
        "metarl.grid.cell",
        "metarl.grid.workers",
    ],
    "Searches": ["metarl.tune.search", "metarl.tune.run", "metarl.tune.trials"],
    "Many tasks": ["metarl.multitask.config", "metarl.multitask.modular.config"],
    "Checkpoints": ["metarl.runs.checkpoint", "metarl.runs.policies", "metarl.runs.several"],
    "Eyes": ["metarl.perception.backbones", "metarl.perception.swap", "metarl.perception.pictures"],
    "Films": ["metarl.film.episode", "metarl.film.camera", "metarl.viewer.recording"],
    "Other libraries": ["metarl.interop"],
}
_CONFIG = """[project]
site_name = "metarl"
site_description = "Meta-learning and robot skill transfer on batched MuJoCo"
docs_dir = "pages"
site_dir = "site"
use_directory_urls = false
extra_css = ["{style}"]
extra.polyfills = [{{ path = "{worker}", type = "text/javascript" }}]
nav = [{nav}]

[project.theme]
language = "en"
font = false
features = ["content.code.copy", "navigation.footer", "navigation.sections", "navigation.top"]

[[project.theme.palette]]
media = "(prefers-color-scheme)"
toggle.icon = "lucide/sun-moon"
toggle.name = "As the browser prefers; switch to light mode"

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Switch to dark mode"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "Switch to what the browser prefers"

[project.plugins.offline]

[project.plugins.mkdocstrings.handlers.python]
paths = ["{root}"]
options = {{ docstring_style = "google", show_root_toc_entry = false, show_source = false, members_order = "source", heading_level = 2, filters = ["!^_"], separate_signature = true, show_signature_annotations = true }}
"""
_STYLE = "assets/site.css"
# Browsers start no worker from a file, and the builder's search is one: this runs it in a frame there.
# The builder would fetch it from a server otherwise.
_WORKER = "assets/iframe-worker.js"
# Tables of numbers fit beside the navigation, and names in them stay whole. Links of
# the navigation and small print stand out more than the builder's, to be read by everyone.
_LOOKS = """.md-typeset table:not([class]) :is(th, td) { min-width: 0; padding: .5em .75em; }
.md-typeset table:not([class]) code { word-break: normal; padding: 0 .2em; }
.md-typeset table:not([class]) td code { white-space: nowrap; }
.md-grid { max-width: 70rem; }
[data-md-color-scheme=default] { --md-accent-fg-color: #4051b5; --md-default-fg-color--light: #000000a6; }
[data-md-color-scheme=slate] { --md-accent-fg-color: #8c9eff; }
.md-typeset .doc-label code { color: var(--md-default-fg-color); }
"""
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)")


@dataclass(frozen=True)
class Config:
    """Where the site goes."""

    out: Path = Path("site")
    """a folder; what an earlier build left there is replaced"""
    serve: bool = False
    """show it on this machine until Ctrl-C"""
    port: int = 8000
    """where it is shown"""


def gather(pages: Path) -> None:
    """Put every page, and what pages link to, where the builder looks for it.

    Raises:
        SystemExit: If a link leads nowhere.
    """
    written = [path for rows in NAV.values() for _, path in rows]
    waiting, dead = [Path(path) for path in written], []
    while waiting:
        page = waiting.pop()
        if (pages / page).exists():
            continue
        source = ROOT / ("README.md" if page == Path("index.md") else page)
        (pages / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, pages / page)
        if page.suffix != ".md":
            continue
        for link in _LINK.findall(source.read_text()):
            target = (source.parent / link).resolve()
            if not target.is_relative_to(ROOT) or not target.exists():
                dead.append(f"{page}: {link}")
            elif target.is_file():
                found = target.relative_to(ROOT)
                waiting.append(Path("index.md") if found == Path("README.md") else found)
    if dead:
        raise SystemExit("links that lead nowhere:\n" + "\n".join(dead))
    for name, modules in API.items():
        page = pages / _api(name)
        page.parent.mkdir(parents=True, exist_ok=True)
        parts = [f"## `{module}`\n\n::: {module}\n" for module in modules]
        page.write_text(f"# {name}\n\n" + "\n".join(parts))


def _api(name: str) -> str:
    return f"docs/api/{name.lower().replace(' ', '-')}.md"


def config_text() -> str:
    """The builder's configuration."""
    sections = {**NAV, "Python": [(name, _api(name)) for name in API]}
    nav = ", ".join(
        f'{{ "{name}" = [{", ".join(f"""{{ "{n}" = "{path}" }}""" for n, path in rows)}] }}'
        for name, rows in sections.items()
    )
    return _CONFIG.format(nav=nav, root=ROOT.as_posix(), style=_STYLE, worker=_WORKER)


class _Links(HTMLParser):
    """What a page refers to, and the places in it that can be referred to."""

    def __init__(self) -> None:
        super().__init__()
        self.links, self.places = set[str](), set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            if name in ("id", "name") and value:
                self.places.add(value)


def dead_links(site: Path) -> Iterator[str]:
    """Every link between pages that leads nowhere, as ``page: link``, and every one that needs a network."""
    pages = {}
    for path in sorted(site.rglob("*.html")):
        pages[path.resolve()] = parsed = _Links()
        parsed.feed(path.read_text())
    for path, parsed in pages.items():
        if path.name == "404.html":
            continue
        for link in sorted(parsed.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue  # a paper, say
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if target.is_dir():
                target = target / "index.html"
            there = pages.get(target)
            lost = parts.fragment and there and unquote(parts.fragment) not in there.places
            if not target.exists() or lost:
                yield f"{path.relative_to(site.resolve())}: {link}"


def build(out: Path) -> int:
    """Build the site.

    Args:
        out: Its folder.
    Returns:
        How many pages it has.
    Raises:
        SystemExit: If it cannot be built, or a link leads nowhere.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        gather(work / "pages")
        (work / "pages/assets").mkdir(parents=True, exist_ok=True)
        (work / "pages" / _STYLE).write_text(_LOOKS)
        shutil.copyfile(Path(__file__).with_name("iframe-worker.js"), work / "pages" / _WORKER)
        (work / "zensical.toml").write_text(config_text())
        done = subprocess.run(
            [sys.executable, "-m", "zensical", "build", "--clean"],
            cwd=work, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(
                f"the site was not built; pip install zensical mkdocstrings-python\n{done.stdout}{done.stderr}"
            )
        if dead := list(dead_links(work / "site")):
            raise SystemExit("links that lead nowhere:\n" + "\n".join(dead))
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(work / "site", out)
    return len(list(out.rglob("*.html")))


def main(config: Config) -> int:
    """Build it, and show it if asked."""
    print(f"wrote {build(config.out)} pages to {config.out / 'index.html'}")
    if config.serve:
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(config.out))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", config.port), handler)
        print(f"http://127.0.0.1:{server.server_port}; Ctrl-C ends it", flush=True)
        with server:
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                threading.Thread(target=server.shutdown).start()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(Config)))
