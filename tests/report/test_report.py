import base64
import json
import os
from html.parser import HTMLParser
from pathlib import Path

import imageio
import numpy as np
import pytest

from metarl.errors import CheckpointError, ConfigError, MetaRLError, OutputError, ShapeError
from metarl.meta.maml.config import MamlConfig
from metarl.report import (
    Curve,
    Report,
    curves_png,
    heatmap_png,
    run_report,
)
from metarl.runs.config import describe_config
from metarl.runs.fields import field_docs

VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """Parses a page and keeps what the tests ask about."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attrs, self.open, self.text = [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.attrs if name == tag]


def make_film(path: Path) -> Path:
    frames = [np.full((32, 48, 3), 20 * i, np.uint8) for i in range(6)]
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.mimwrite(path, frames, fps=6, macro_block_size=16)
    return path


def make_curve(label="MAML", end=0.9):
    mean = np.linspace(0.1, end, 4)
    return Curve(label, np.arange(4), mean, mean - 0.05, mean + 0.05)


def make_run(folder: Path, **files) -> Path:
    folder.mkdir()
    contents = {
        "config.json": json.dumps({"family": "kitchen/season", "seed": 3, "net": {"lr": 0.01}}),
        "metrics.jsonl": '{"step": 0, "success": 0.25, "loss": null}\n'
        '{"step": 5, "success": 0.5, "loss": 1.5}\n{"step": 10, "succ',
        "result.json": json.dumps({"mean": 0.5, "methods": [{"method": "maml", "mean": 0.75}]}),
        **files,
    }
    for name, content in contents.items():
        if content is not None:
            (folder / name).write_text(content)
    return folder


# The page


def test_page_is_well_formed_and_loads_nothing(tmp_path):
    report = Report("Does transfer help?", "5 seeds")
    report.text("Why", ["One.", "Two."])
    report.table("Scores", ["Method", "Mean"], [["maml", 0.93]], note="metarl evaluate --seed 0")
    report.picture(
        "Curves",
        curves_png([make_curve()], title="t", xlabel="x", ylabel="Success"),
        caption="c",
        alt="rising curve",
    )
    report.film("After", make_film(tmp_path / "a.mp4"), caption="Three updates.")
    report.facts("Setting", {"rate": 0.001, "worlds": 512, "resumed": False, "note": None})
    html = report.write(tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert page.tags.count("section") == 5
    assert "http:" not in html
    assert "https:" not in html
    assert not {"link", "script", "iframe", "object"} & set(page.tags)
    for attrs in page.all("img") + page.all("video"):
        assert attrs["src"].startswith("data:")
    assert [attrs["alt"] for attrs in page.all("img")] == ["rising curve"]
    assert {"Two.", "0.93", "metarl evaluate --seed 0", "512", "no", "–"} <= set(page.text)
    ids = [attrs["id"] for attrs in page.all("section")]
    assert [attrs["href"] for attrs in page.all("a")] == [f"#{name}" for name in ids]


@pytest.mark.parametrize(("count", "folded"), [(3, False), (24, False), (25, True)])
def test_the_contents_of_a_long_page_are_folded(count, folded):
    report = Report("Many")
    for i in range(count):
        report.text(f"Part {i}", "said")
    page = report.render()
    assert (f"<summary>Contents: {count} sections</summary>" in page) == folded
    assert page.count('<a href="#s') == (count if count >= 4 else 0)


def test_every_user_string_is_escaped(tmp_path):
    evil = "<script>alert('x')</script>\" onload=\"x"
    report = Report(evil, evil)
    report.text(evil, evil)
    report.table(evil, [evil], [[evil]], note=evil)
    report.picture(evil, b"", caption=evil, alt=evil)
    report.film(evil, make_film(tmp_path / "a.mp4"), caption=evil)
    report.facts(evil, {evil: evil})
    html = report.render()
    page = Page(html)
    assert "<script" not in html
    assert "script" not in page.tags
    assert not any("onload" in attrs for _, attrs in page.attrs)
    assert page.all("img")[0]["alt"] == evil
    assert page.text.count(evil) >= 14  # it is shown, not dropped


def test_film_round_trips(tmp_path):
    film = make_film(tmp_path / "film.mp4")
    report = Report("Film")
    report.film("After", film, caption="")
    (video,) = Page(report.render()).all("video")
    kind, content = video["src"].split(",", 1)
    assert kind == "data:video/mp4;base64"
    assert base64.b64decode(content) == film.read_bytes()
    assert {"controls", "autoplay", "loop", "muted"} <= set(video)


def test_columns_of_numbers_are_marked():
    report = Report("t")
    report.table("Scores", ["Method", "Mean"], [["maml", "93 [88, 97]"], ["2 heads", np.nan]])
    cells = Page(report.render()).all("td")
    assert [cell.get("class") for cell in cells] == [None, "number"] * 2


def test_ragged_table_is_refused():
    with pytest.raises(ShapeError, match="row 1 has 1 cells; expected 2: a, b"):
        Report("t").table("Scores", ["a", "b"], [[1, 2], [3]])


def test_missing_film_is_named(tmp_path):
    with pytest.raises(MetaRLError, match=r"gone\.mp4"):
        Report("t").film("f", tmp_path / "gone.mp4", caption="")


def test_write_replaces_the_old_page_and_leaves_no_part(tmp_path):
    path = tmp_path / "report.html"
    Report("old").write(path)
    Report("new").write(path)
    assert "new" in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_failed_write_keeps_the_old_page(tmp_path):
    resource = pytest.importorskip("resource")
    path = Report("old").write(tmp_path / "report.html")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OutputError, match="File too large; free some space"):
            Report("new").write(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "old" in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_unwritable_target_is_a_typed_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*report\.html"):
        Report("t").write(tmp_path / "file" / "report.html")


@pytest.mark.parametrize("name", ["report.txt", "report", "a\x1b.html"])
def test_a_page_is_named_as_one(tmp_path, name):
    with pytest.raises(OutputError):
        Report("t").write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_page_replaces_no_link(tmp_path):
    (tmp_path / "report.html").symlink_to("/dev/null")
    with pytest.raises(OutputError, match="it is a link"):
        Report("t").write(tmp_path / "report.html")
    assert (tmp_path / "report.html").is_symlink()


def test_nothing_in_a_page_is_obeyed_by_a_terminal(tmp_path):
    evil = "\x1b]0;owned\x07\x9b31m red"
    folder = make_run(
        tmp_path / "run",
        **{
            "config.json": json.dumps({"family": evil, evil: evil}),
            "result.json": json.dumps({evil: [{evil: evil}]}),
            "metrics.jsonl": json.dumps({"step": 0, f"{evil}\ud800": 1.0}) + "\n",
        },
    )
    text = run_report(folder).write(tmp_path / "page.html").read_text()
    assert "owned" in text
    assert not [c for c in text if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160]


# A run's report


@pytest.mark.parametrize(
    "name", ["config.json", "result.json", "metrics.jsonl", "films/before.mp4", "pictures/a.png"]
)
@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_nothing_from_outside_the_run_is_shown(tmp_path, name, kind):
    folder = make_run(tmp_path / "run")
    secret = tmp_path / "secret"
    secret.write_text('{"key": "of another"}')
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(ConfigError, match=name) as caught:
        run_report(folder)
    assert ("out of the run folder" if kind == "link" else "regular file") in str(caught.value)


def test_a_folder_of_films_from_outside_is_not_shown(tmp_path):
    folder = make_run(tmp_path / "run")
    make_film(tmp_path / "elsewhere" / "film.mp4")
    (folder / "films").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="out of the run folder"):
        run_report(folder)


def test_a_run_folder_may_be_a_link_and_hold_links_into_itself(tmp_path):
    folder = make_run(tmp_path / "run")
    make_film(folder / "kept" / "film.mp4")
    (folder / "films").mkdir()
    (folder / "films" / "after.mp4").symlink_to("../kept/film.mp4")
    (tmp_path / "latest").symlink_to("run")
    assert len(Page(run_report(tmp_path / "latest").render()).all("video")) == 1


def test_wild_metrics_do_not_break_a_report(tmp_path):
    rows = [
        '{"step": 0, "success": 0.5, "loss": 1e308}',
        '{"step": 1, "success": 0.6, "loss": -1e308, "big": 1' + "0" * 400 + "}",
        '{"step": "x", "success": 0.5}',
        "[" * 200_000,
        '["text"]',
        '{"step": 2, "success": NaN, "$\\\\foo{": 1.0}',
    ]
    folder = make_run(tmp_path / "run", **{"metrics.jsonl": "\n".join(rows), "result.json": None})
    html = run_report(folder).render()
    assert "0.6" in html
    assert "3 line(s)" in html


def test_run_report_shows_what_the_folder_holds(tmp_path):
    folder = make_run(tmp_path / "run")
    make_film(folder / "films" / "before.mp4")
    make_film(folder / "films" / "after.mp4")
    (folder / "pictures").mkdir()
    (folder / "pictures" / "task_grid.png").write_bytes(
        heatmap_png(np.eye(2), ["a", "b"], ["c", "d"], title="t", diverging=False)
    )
    page = Page(run_report(folder).render())
    assert [video["aria-label"] for video in page.all("video")] == ["Before", "After"]
    assert [image["alt"] for image in page.all("img")] == [
        "Training curves, from first to last: success 0.25 to 0.5, loss 1.5 to 1.5",
        "Task grid, a picture of this run",
    ]
    assert {"kitchen/season · seed 3", "net.lr", "0.01", "0.75", "maml"} <= set(page.text)
    assert any("1 line(s)" in text for text in page.text)  # the half line is not hidden


def test_run_without_metrics_or_result_says_so(tmp_path):
    folder = make_run(tmp_path / "run", **{"metrics.jsonl": None, "result.json": None})
    page = Page(run_report(folder).render())
    assert "No metrics were recorded." in page.text
    assert "Result" not in page.text


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no config\.json; expected a run folder"):
        run_report(tmp_path)
    with pytest.raises(ConfigError, match="is not a folder"):
        run_report(tmp_path / "gone")


def trained(folder: Path, **settings) -> Path:
    """A folder as `metarl train` leaves it."""
    config = describe_config(
        MamlConfig(**settings), "/there/__main__.py train kitchen/season --seed 3 --method maml"
    )
    rows = [
        {"step": step, **{f"success_{k}": 0.1 * k + 0.01 * step for k in range(4)}, "loss": 1.0}
        for step in range(1, 10)
    ]
    return make_run(
        folder,
        **{
            "config.json": json.dumps(config),
            "metrics.jsonl": "\n".join(map(json.dumps, rows)),
            "result.json": json.dumps({"steps": 1234567, "seconds": 600.0, "success_3": 0.39}),
        },
    )


def test_a_report_begins_with_what_was_run(tmp_path):
    page = Page(run_report(trained(tmp_path / "run", outer_rate=1e-4)).render())
    assert "metarl train kitchen/season --seed 3 --method maml" in page.text
    assert {"1,234,567", "10 min"} <= set(page.text)
    assert page.text.index("What was run") < page.text.index("Result")


def test_a_report_says_what_differs_from_the_defaults_and_what_it_means(tmp_path):
    page = Page(run_report(trained(tmp_path / "run", outer_rate=1e-4)).render())
    start = page.text.index("outer_rate")
    assert page.text[start : start + 3] == ["outer_rate", "0.0001", f"{MamlConfig().outer_rate:g}"]
    assert page.text[start + 3] == field_docs(MamlConfig)["outer_rate"]
    assert [cell for cell in page.text if cell == "num_tasks"] == ["num_tasks"]  # in all settings
    plain = Page(run_report(trained(tmp_path / "plain")).render())
    assert "Every setting is the default." in plain.text


def test_a_report_says_what_every_setting_means(tmp_path):
    page = Page(run_report(trained(tmp_path / "run")).render())
    start = page.text.index(
        "All settings", page.text.index("All settings") + 1
    )  # the first is a link
    place = page.text.index("num_tasks", start)
    assert field_docs(MamlConfig)["num_tasks"] in page.text[place : place + 6]
    assert "maml: first-order MAML with a clipped surrogate" in page.text
    assert "kitchen/season: Shake the wanted amount of salt into a pot" in page.text


def test_a_page_imports_no_module_that_a_run_names(tmp_path, monkeypatch):
    (tmp_path / "loud.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    config = json.dumps({"made-with": {"command": "metarl train loud:loud/x --method maml"}})
    page = Page(run_report(make_run(tmp_path / "run", **{"config.json": config})).render())
    assert "loud:loud/x" in page.text


def test_a_report_of_an_unknown_method_shows_its_settings(tmp_path):
    made = {"command": "metarl train a/b --method gone"}
    config = json.dumps({"class": "GoneConfig", "rate": 0.5, "made-with": made})
    page = Page(run_report(make_run(tmp_path / "run", **{"config.json": config})).render())
    assert {"All settings", "rate", "0.5"} <= set(page.text)
    assert "Settings that differ from the defaults" not in page.text


@pytest.mark.parametrize("made", [None, 3, {}, {"command": 'train "'}, {"command": None}])
def test_a_report_of_a_run_without_a_command_is_whole(tmp_path, made):
    config = json.dumps({"class": 3, "rate": 0.5, "made-with": made})
    page = Page(run_report(make_run(tmp_path / "run", **{"config.json": config})).render())
    assert {"All settings", "rate", "0.5"} <= set(page.text)


def test_success_after_each_update_is_one_picture(tmp_path):
    page = Page(run_report(trained(tmp_path / "run")).render())
    alts = [image["alt"] for image in page.all("img")]
    assert alts == [
        "Success after each update. iterations 1–3: 2% before, 32% after; iterations 4–6: 5% before,"
        " 35% after; iterations 7–9: 8% before, 38% after",
        "Training curves, from first to last: loss 1 to 1",
    ]
    assert "Last recorded values" not in page.text  # they are the result


@pytest.mark.parametrize("content", ['{"family": ', "[1]", ""])
@pytest.mark.parametrize("name", ["config.json", "result.json"])
def test_damaged_json_is_a_typed_error(tmp_path, name, content):
    folder = make_run(tmp_path / "run", **{name: content})
    with pytest.raises(CheckpointError, match=name):
        run_report(folder)


# Plots
