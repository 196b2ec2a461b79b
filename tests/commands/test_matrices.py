"""`metarl transfer-matrix` and `metarl compare` as a user runs them."""

from __future__ import annotations

import json

import pytest
from console import here, metarl

from metarl import cli
from metarl.errors import ConfigError
from metarl.grid.store import Store
from metarl.matrix.given import take_sources

SAME, OPPOSITE = "pair:pair/same", "pair:pair/opposite"
TINY = ("--set", "num_worlds=8", "minibatch=160", "--jobs", "1")
WORDS = (
    SAME, OPPOSITE, "--seeds", "2", "--iterations", "3", "--source-iterations", "4",
    "--adapt", "1", *TINY,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A matrix of two families that look alike."""
    out = tmp_path_factory.mktemp("matrix") / "out"
    done = metarl("transfer-matrix", *WORDS, "--out", out)
    assert done.returncode == 0, done.stderr
    (out / "said.txt").write_text(done.stdout)
    return out


def test_every_source_meets_every_target(folder):
    saved = json.loads((folder / "matrix.json").read_text())
    learned = [row for row in saved["rows"] if row["regime"] == "learning"]
    arms = {(row["source"], row["target"], row["exploration"]) for row in learned}
    assert arms == {
        (s, t, e) for s in (SAME, OPPOSITE) for t in (SAME, OPPOSITE) for e in ("fresh", "source")
    }
    assert {(r["source"], r["target"]) for r in saved["rows"] if r["regime"] == "adapting"} == {
        (s, t) for s in (SAME, OPPOSITE) for t in (SAME, OPPOSITE)
    }
    assert saved["missing"] == 0
    by_arm = {(r["source"], r["target"], r["exploration"]): r["score"] for r in learned}
    assert by_arm[SAME, SAME, "fresh"] > by_arm[OPPOSITE, SAME, "fresh"]
    assert by_arm[OPPOSITE, OPPOSITE, "fresh"] > by_arm[SAME, OPPOSITE, "fresh"]
    said = (folder / "said.txt").read_text()
    assert f"{SAME} (learning), 960 control steps" in said
    assert f"Best on {SAME}: " in said
    names = {path.name for path in folder.iterdir()}
    assert {"matrix.md", "report.html", "matrix-learning-fine-tune-fresh.png"} <= names
    assert "running" not in names


def test_the_same_command_trains_nothing_again(folder, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    page = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    words = ["transfer-matrix", *WORDS, "--out", str(folder)]
    monkeypatch.setattr("sys.argv", ["metarl", *words])
    assert cli.main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()} == before
    assert (folder / "report.html").read_text() == page


def test_pages_and_pictures_are_remade_from_the_cells_alone(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["metarl", "transfer-matrix", "first"])
    picture = folder / "matrix-learning-fine-tune-fresh.png"
    drawn = picture.read_bytes()
    picture.unlink()
    (folder / "matrix.json").unlink()
    (folder / "sources").rename(folder / "elsewhere")
    assert cli.main(["transfer-matrix", "--only-report", "--out", str(folder)]) == 0
    (folder / "elsewhere").rename(folder / "sources")
    assert picture.read_bytes() == drawn
    monkeypatch.setattr("sys.argv", ["metarl", "transfer-matrix", "second"])
    assert cli.main(["transfer-matrix", "--only-report", "--out", str(folder)]) == 0
    kept = json.loads((folder / "matrix.json").read_text())["made-with"]["command"]
    assert (
        kept == "metarl transfer-matrix first"
    )  # the command that measured, not the one that drew
    capsys.readouterr()
    assert cli.main(["report", str(folder)]) == 0
    assert "What to start from" in (folder / "report.html").read_text()


def test_other_settings_are_refused_and_told(folder, capsys):
    words = ["transfer-matrix", SAME, OPPOSITE, "--iterations", "5", *TINY, "--out", str(folder)]
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert "differ from what is asked for now: " in said
    assert "budget.iterations: saved 3, given 5" in said
    assert "--again" in said
    assert said.count("\n") == 1


def test_a_family_that_has_changed_is_told(folder, capsys):
    path = folder / "families.json"
    known = json.loads(path.read_text())
    text = path.read_text()
    known[SAME]["horizon"] = 41
    path.write_text(json.dumps(known))
    assert cli.main(["transfer-matrix", SAME, *TINY, "--out", str(folder)]) == 2
    path.write_text(text)
    assert "horizon was 41, is 40" in capsys.readouterr().err


def test_compare_names_the_best_and_its_lead(folder, tmp_path):
    sources = [
        folder / "sources" / f"pair-{name}-s500.safetensors" for name in ("same", "opposite")
    ]
    out = tmp_path / "out"
    words = [
        "compare", *map(str, sources), "--family", SAME, "--seeds", "2", "--iterations", "3",
        "--strategies", "fine-tune", "frozen-trunk", "--explorations", "fresh", *TINY,
    ]  # fmt: skip
    done = here(*words, "--out", out)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[-1].startswith(f"Best on {SAME}: ")
    assert "ahead of the next" in said[-1]
    assert sum("frozen-trunk" in line for line in said if line.startswith(" ")) == 2
    assert (out / "curves-learning.png").exists()
    assert len(Store(out).read()) == 2 * (2 + 4)
    assert len(list((out / "sources").iterdir())) == 2  # the originals may go


def test_given_sources_are_named_apart(folder, tmp_path):
    sources = sorted((folder / "sources").glob("*.safetensors"))[:2]
    for n, path in enumerate(sources):
        (tmp_path / str(n)).mkdir()
        (tmp_path / str(n) / "mine.safetensors").write_bytes(path.read_bytes())
    paths = [tmp_path / str(n) / "mine.safetensors" for n in range(2)]
    one, other = take_sources(paths, tmp_path / "out")
    assert one.name == "mine"
    assert other.name == f"mine-{other.digest[:6]}"
    with pytest.raises(ConfigError, match="among the sources already"):
        take_sources([paths[0], paths[0]], tmp_path / "out")


def test_a_smaller_matrix_has_the_same_cells(folder, tmp_path):
    """A cell is the same whatever else a benchmark holds: what is there can be gone on from."""
    out = tmp_path / "out"
    few = [
        SAME,
        OPPOSITE,
        "--iterations",
        "3",
        "--source-iterations",
        "4",
        "--explorations",
        "fresh",
    ]
    assert here("transfer-matrix", *few, "--seeds", "1", *TINY, "--out", out).returncode == 0
    one, other = Store(folder).read(), Store(out).read()
    assert len(other) == 2 * 2 + 2 + 4
    for key, record in other.items():
        mine = {k: v for k, v in record.result.items() if k != "seconds"}
        assert mine == {k: v for k, v in one[key].result.items() if k != "seconds"}
        assert record.cell == one[key].cell


def test_robots_multiply_families(capsys):
    from metarl.commands.transfer_matrix import with_robots

    names = ["kitchen/season@control=joint", "kitchen/heat"]
    assert with_robots(names, ["panda", "ur5e"]) == [
        "kitchen/season@robot=panda,control=joint", "kitchen/season@robot=ur5e,control=joint",
        "kitchen/heat@robot=panda", "kitchen/heat@robot=ur5e",
    ]  # fmt: skip
    assert with_robots(names, []) == names
    with pytest.raises(ConfigError, match="names its robot already"):
        with_robots(["kitchen/heat@robot=panda"], ["panda"])
