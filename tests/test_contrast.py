"""What a person reads can be read, in light and in dark: contrast on every kind of page, in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import browser, needed, prefer, resize
from contrast import faint, texts
from PIL import Image

from metarl import cli

pytestmark = needed
pytest.importorskip("selenium", reason="needs selenium")
SCHEMES = ("light", "dark")
KNOWN = """<!DOCTYPE html><html><body style="background: #fff; color: #000">
<p style="color: #777">grey</p><p style="color: #767676">enough</p>
<p style="color: #949494; font-size: 24px">large</p><p style="color: #999; font-size: 24px">large, faint</p>
<div style="background: #000"><p style="color: #fff; opacity: .4">through</p></div>
<p style="color: rgb(0 0 0 / 45%)">thin ink</p><p style="display: none; color: #fff">hidden</p>
<p style="background: linear-gradient(#fff, #000)">gradient</p>
<button disabled style="color: #ccc">off</button><input placeholder="asks" style="color: #000">
<style>input::placeholder { color: #ccc; opacity: 1 } i::after { content: "said"; color: #ddd }</style><i></i>
<div id="host"></div><script>
document.getElementById("host").attachShadow({ mode: "open" }).innerHTML = "<s style='color: #aaa'>inside</s>";
</script></body></html>"""


@pytest.fixture(scope="module")
def driver():
    with browser(width=1400, height=900) as driver:
        yield driver


def look(driver, page: str, scheme: str, width: int = 1400) -> list[str]:
    prefer(driver, scheme)
    resize(driver, width, 900)
    driver.get(page)
    return faint(driver)


def test_what_is_faint_is_named(driver, tmp_path):
    (tmp_path / "known.html").write_text(KNOWN)
    said = look(driver, (tmp_path / "known.html").as_uri(), "light")
    for words in (
        "grey",
        "large, faint",
        "through",
        "thin ink",
        "gradient",
        "asks",
        "said",
        "inside",
    ):
        assert [line for line in said if f": '{words}' in" in line], words
    assert len(said) == 8, said
    ratios = {text["words"]: text["ratio"] for text in texts(driver)}
    assert ratios["enough"] == pytest.approx(4.54, abs=0.01)
    assert "hidden" not in ratios


BENCHMARK = """
title = "Does it learn where the ball is to go?"
without = ["scratch", "fine-tune", "control", "ceiling"]

[protocol]
num_tasks = 2
episodes = 2
updates = 1
eval_episodes = 1

[families."toy:toy/short"]
start = "runs/a"

[arms.untrained-inner-loop]
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """A page of every kind, each made by its command."""
    there = tmp_path_factory.mktemp("pages")
    runs, family = there / "runs", "toy:toy/short"
    (there / "mine.toml").write_text(BENCHMARK)
    pictures(there / "photos")
    few = ["--updates", "1", "--episodes", "2", "--num-tasks", "2", "--eval-episodes", "1"]
    tiny = ["--iterations", "1", "--set", "num_worlds=4"]
    alone = ["--modules", "toy", "--jobs", "1"]
    a, b = (str(runs / name) for name in "ab")
    looks = ["--data", str(there / "photos"), "--size", "16", "--epochs", "1", "--batch-size", "4"]
    commands = [
        ["train", family, "--method", "ppo", *tiny, "--out", a],
        ["train", family, "--method", "ppo", "--seed", "1", *tiny, "--out", b],
        ["report", a],
        ["report", a, b, "--out", str(there / "several.html")],
        ["adapt", a, family, *few, "--out", str(runs / "adapted")],
        ["advise", a, b, family, "--episodes", "8", "--out", str(there / "advice.html")],
        ["benchmark", str(there / "mine.toml"), *alone, "--out", str(runs / "measured")],
        ["perceive", "compare", *looks, "--strategies", "frozen-trunk", "scratch", "--out", str(runs / "eyes")],
        ["runs", str(runs), "--page"],
    ]  # fmt: skip
    for words in commands:
        assert cli.main(words) == 0, words
    names = {"run": "runs/a", "adapted": "runs/adapted", "benchmark": "runs/measured"} | {
        "pictures": "runs/eyes"
    }
    return {
        "runs": runs / "index.html", "several": there / "several.html", "advice": there / "advice.html",
    } | {name: there / folder / "report.html" for name, folder in names.items()}  # fmt: skip


def pictures(folder: Path) -> None:
    for shade in ("black", "white"):
        (folder / shade).mkdir(parents=True)
        for i in range(8):
            made = Image.new("RGB", (16, 16), shade)
            made.putpixel((i, i), (200, 30, 30))
            made.save(folder / shade / f"{i}.png")


KINDS = ("run", "several", "adapted", "advice", "benchmark", "pictures", "runs")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", KINDS)
def test_reports_can_be_read(kind, scheme, driver, pages):
    assert sorted(pages) == sorted(KINDS)
    for width in (400, 1400):
        assert look(driver, pages[kind].as_uri(), scheme, width) == []
        wide = driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width  # only tables and pictures scroll sideways
    paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(246, 247, 249)") == (scheme == "light")
