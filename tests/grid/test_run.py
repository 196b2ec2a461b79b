"""A benchmark cell by cell: none is run twice, none of them lost, and one that fails harms no other."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import counting
import pytest
from counting import RAN, Square
from rich.console import Console

from metarl.errors import CheckpointError, ConfigError
from metarl.grid import progress
from metarl.grid.cell import with_needs
from metarl.grid.plan import plan
from metarl.grid.processes import LOG, LocalProcesses
from metarl.grid.progress import Shown
from metarl.grid.run import RUNNING, run_cells
from metarl.grid.store import Store

TESTS = Path(counting.__file__).parent


def quiet():
    return Console(file=io.StringIO(), width=200)


def ran(folder):
    path = folder / RAN
    return path.read_text().split() if path.exists() else []


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "bench")


def test_cells_run_once_in_spawned_processes_behind_what_they_need(store):
    first = Square(number=3)
    cells = [Square(number=4, after=first), Square(number=5)]
    done = run_cells(cells, store, workers=LocalProcesses(2), console=quiet())
    assert not done.failed
    results = {key: record.result for key, record in done.records.items()}
    assert {key: r["square"] for key, r in results.items()} == {
        "square-3": 9, "square-4": 16, "square-5": 25
    }  # fmt: skip
    assert results["square-4"]["read"] == "9"
    assert os.getpid() not in {r["pid"] for r in results.values()}
    again = run_cells(cells, store, console=quiet())
    assert {k: r.result for k, r in again.records.items()} == results
    assert sorted(ran(store.folder)) == ["square-3", "square-4", "square-5"]
    assert "about to square 4" in (store.folder / LOG).read_text()
    assert not (store.folder / RUNNING).exists()
    assert [p.name for p in (store.folder / "cells").iterdir() if p.name.startswith(".")] == []


def test_cells_that_fail_are_told_and_the_others_go_on(store):
    ways = ["typed", "raw", "leaves", "killed", "no JSON"]
    bad = [Square(number=n, fails=why) for n, why in enumerate(ways)]
    needy = [
        Square(number=9, after=bad[0]),
        Square(number=10, after=Square(number=9, after=bad[0])),
    ]
    console = quiet()
    done = run_cells(
        [*bad, *needy, Square(number=7)], store, workers=LocalProcesses(1), console=console
    )
    assert list(done.records) == ["square-7"]
    said = console.file.getvalue()
    for key, words in {
        "square-0": "the loss is not finite",
        "square-1": "ZeroDivisionError: by nothing",
        "square-2": "SystemExit: 3",
        "square-3": "its process died (exit code -9, killed)",
        "square-4": "TypeError",
        "square-9": "it needs square-0, which failed",
        "square-10": "it needs square-9, which failed",
    }.items():
        assert words in done.failed[key]
        assert f"{key} failed: " in said
    assert "counting.py" in (store.folder / LOG).read_text()  # where it was raised
    mended = [dataclasses.replace(cell, fails="") for cell in bad]
    again = run_cells([*mended, Square(number=7)], store, console=quiet())
    assert not again.failed
    assert ran(store.folder).count("square-7") == 1


def test_what_comes_next_may_depend_on_what_has_come(store):
    """Each square is squared, until one is large; a failure ends nothing."""
    asked = []

    def more(records, failed):
        asked.append((sorted(records), sorted(failed)))
        last = max((r.result["square"] for r in records.values()), default=2)
        known = {f"square-{last}", *records, *failed}
        fresh = last < 100 and len(known) > len(records) + len(failed)
        return [Square(number=int(last))] if fresh else []

    console = quiet()
    one = LocalProcesses(1)
    done = run_cells([Square(number=0, fails="raw")], store, workers=one, console=console, more=more,
                     total=4, things="squares")  # fmt: skip
    assert sorted(done.records) == ["square-16", "square-2", "square-4"]
    assert list(done.failed) == ["square-0"]
    assert asked[0] == ([], [])
    assert len(asked) == 5  # at the beginning, and behind each that came back


def test_a_changed_cell_is_told_and_never_reused(store):
    run_cells([Square(number=2)], store, workers=LocalProcesses(1), console=quiet())
    changed = [Square(number=2, factor=3.0), Square(number=6)]
    with pytest.raises(ConfigError, match=r"square-2 .*factor: saved 1.0, given 3.0.*--again"):
        run_cells(changed, store, console=quiet())
    assert ran(store.folder) == ["square-2"]
    done = run_cells(changed, store, workers=LocalProcesses(1), again=True, console=quiet())
    assert done.records["square-2"].result["square"] == 12
    assert store.read()["square-2"].cell["factor"] == 3.0


def test_a_raised_revision_is_a_change(store, monkeypatch):
    run_cells([Square(number=2)], store, workers=LocalProcesses(1), console=quiet())
    monkeypatch.setattr(Square, "revision", 2)
    with pytest.raises(ConfigError, match="revision: saved 1, given 2"):
        plan([Square(number=2)], store.read(), store.folder)


def test_cells_of_other_versions_are_kept_and_told(store):
    run_cells([Square(number=2)], store, workers=LocalProcesses(1), console=quiet())
    path = store.folder / "cells" / "square-2.json"
    saved = json.loads(path.read_text())
    path.write_text(json.dumps(saved | {"made_with": saved["made_with"] | {"torch": "0.1"}}))
    what = plan([Square(number=2), Square(number=3)], store.read(), store.folder)
    assert "torch 0.1 (here " in what.note
    assert list(what.done) == ["square-2"]
    assert plan([Square(number=2)], store.read(), store.folder).note == ""


def test_what_is_needed_runs_again_only_where_its_file_is_gone(store):
    first = Square(number=3)
    cells = [Square(number=4, after=first)]
    run_cells(cells, store, workers=LocalProcesses(1), console=quiet())
    (store.folder / "square-3.txt").unlink()
    assert plan(cells, store.read(), store.folder).todo == ()
    more = [*cells, Square(number=5, after=first)]
    todo = plan(more, store.read(), store.folder).todo
    assert [cell.key for cell in todo] == ["square-3", "square-5"]


def test_a_merged_file_stands_for_the_cells(store, tmp_path):
    cells = [Square(number=n) for n in range(3)]
    run_cells(cells[:2], store, workers=LocalProcesses(2), console=quiet())
    kept = Store(store.folder, tmp_path / "kept.jsonl")
    kept.merge()
    elsewhere = Store(tmp_path / "elsewhere", tmp_path / "kept.jsonl")
    assert elsewhere.read() == store.read()
    todo = plan(cells, elsewhere.read(), elsewhere.folder).todo
    assert [cell.key for cell in todo] == ["square-2"]


def test_what_is_damaged_is_said(store):
    run_cells([Square(number=2)], store, workers=LocalProcesses(1), console=quiet())
    path = store.folder / "cells" / "square-2.json"
    whole = path.read_text()
    for text in ("{", "[]", "{}", json.dumps(json.loads(whole) | {"seconds": "x"})):
        path.write_text(text)
        with pytest.raises(CheckpointError, match=r"square-2\.json"):
            store.read()
    path.write_text(whole)
    path.rename(path.with_name("square-3.json"))
    with pytest.raises(CheckpointError, match="is the cell square-2"):
        store.read()


def test_two_cells_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two different cells are called square-2"):
        with_needs([Square(number=2), Square(number=2, factor=2.0)])
    assert len(with_needs([Square(number=2), Square(number=2)])) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it_at_once_and_the_finished_stay(number, tmp_path):
    folder = tmp_path / "bench"
    script = [sys.executable, str(TESTS / "counting.py"), str(folder)]
    paths = [str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    process = subprocess.Popen(script, stderr=subprocess.PIPE, text=True, env=env)
    store, end_s = Store(folder), time.monotonic() + 60
    while len(list(folder.glob("cells/*.json"))) < 2 or len(ran(folder)) < 3:  # the third sleeps
        assert time.monotonic() < end_s
        assert process.poll() is None
        time.sleep(0.05)
    begun_s = time.monotonic()
    process.send_signal(number)
    said = process.communicate(timeout=20)[1]
    assert time.monotonic() - begun_s < 5
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        assert "stopped after 2 of 6 cells; the same command goes on" in said
    assert set(store.read()) == {"square-0", "square-1"}
    quick = [Square(number=n) for n in range(2)]
    todo = plan([*quick, Square(number=2)], store.read(), folder).todo
    assert [cell.key for cell in todo] == ["square-2"]
    end_s = time.monotonic() + 5  # the workers leave with their parent
    while _alive(folder):
        assert time.monotonic() < end_s
        time.sleep(0.05)


def _alive(folder):
    """Whether a process still holds the log of a benchmark open."""
    found = False
    for path in Path("/proc").glob("[0-9]*/fd/1"):
        try:
            found |= os.readlink(path) == str(folder / LOG)
        except OSError:
            continue
    return found


def test_a_second_process_is_refused(store):
    from metarl.runs.lock import FolderLock

    store.prepare()
    code = (
        "import sys, pathlib; sys.path[:0] = sys.argv[2:]\n"
        "from metarl.runs.lock import FolderLock\n"
        "FolderLock(pathlib.Path(sys.argv[1])); print('held', flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(store.folder), str(TESTS.parent)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match="process"):
            run_cells([Square(number=2)], store, console=quiet())
    finally:
        process.communicate("\n", timeout=10)
    assert ran(store.folder) == []
    FolderLock(store.folder).release()


def test_progress_is_a_line_every_half_minute(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    console = quiet()
    with Shown(10, 4, 2, console) as shown:
        shown.tell(2)
        shown.finished(60.0)
        shown.tell(2)
        assert console.file.getvalue() == ""
        now[0] += 30.0
        shown.tell(2)
    assert console.file.getvalue() == "cells 5/10  2 running, 2 min 30 s left\n"
