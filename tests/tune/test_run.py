"""A search: the same however often it is killed, on train tasks alone, and unharmed by what fails."""

from __future__ import annotations

import dataclasses
import io
import json

import numpy as np
import pytest
import trainonly
from inline import Inline, Killed
from rich.console import Console

from metarl.errors import ConfigError
from metarl.grid.store import Record, Store
from metarl.report.tuning import tuning_png
from metarl.runs.lock import FolderLock
from metarl.streams import FIRST_HELD_OUT_SEED
from metarl.tune.cells import FAILED, METRICS, Attempt, reached
from metarl.tune.output import sentences, to_json
from metarl.tune.propose import propose
from metarl.tune.run import num_trials, run_search
from metarl.tune.search import STARTUP, Search, read_search
from metarl.tune.trials import tuned

FAMILY = f"{trainonly.__name__}:trainonly/reach"
SEARCH = Search(
    family=FAMILY,
    method="ppo",
    iterations=1,
    search={"learning_rate": "0.0001..0.1:log", "epochs": "1..4"},
    settings={"num_worlds": 2, "minibatch": 10, "hidden": [4]},
    metric="returns",
    num_tasks=2,
    eval_episodes=1,
)


def run(search, folder, trials=2, last=None, told=None):
    console = Console(file=told or io.StringIO(), width=200)
    return run_search(search, Store(folder), trials=trials, workers=Inline(last), console=console)


def said(found):
    """What a search came to, without the time that it took."""
    told = to_json(found, folder="x", trials=len(found.trials))
    for trial in told["trials"]:
        trial.pop("seconds", None)
    return told


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search of more trials than are drawn blindly."""
    folder = tmp_path_factory.mktemp("whole") / "search"
    told = io.StringIO()
    found = run(dataclasses.replace(SEARCH, seeds=1), folder, STARTUP + 3, told=told)
    return folder, found, told.getvalue()


def test_every_trial_has_a_run_folder_of_its_own_and_is_told(whole):
    folder, found, told = whole
    assert [trial.number for trial in found.trials] == list(range(STARTUP + 3))
    assert len({json.dumps(trial.settings) for trial in found.trials}) == STARTUP + 3
    usual = found.trials[0]
    assert usual.settings == {"learning_rate": 0.001, "epochs": 4}
    assert told.splitlines()[0].startswith("trial 0, own settings (learning_rate=0.001 epochs=4): ")
    for trial in found.trials:
        config = json.loads((folder / f"trials/{trial.number:04d}-s0/config.json").read_text())
        assert {name: config[name] for name in trial.settings} == trial.settings
        assert config["hidden"] == [4]
        assert f"trial {trial.number}" in told
    assert found.best == max(found.trials, key=lambda trial: trial.value.mean)
    assert read_search(folder) == found.search
    assert said(tuned(read_search(folder), Store(folder).read())) == said(found)


@pytest.mark.parametrize("last", [1, STARTUP + 2])
def test_a_search_that_was_killed_goes_on_to_the_same_end(last, whole, tmp_path):
    _, found, _ = whole
    with pytest.raises(Killed):
        run(found.search, tmp_path / "search", STARTUP + 3, last=last)
    again = run(found.search, tmp_path / "search", STARTUP + 3)
    assert said(again) == said(found)


def test_more_trials_later_are_the_same_as_at_once(whole, tmp_path):
    _, found, _ = whole
    for trials in (2, STARTUP + 1, STARTUP + 3):
        again = run(found.search, tmp_path / "search", trials)
        assert len(again.trials) == trials
    assert said(again) == said(found)


def test_finished_trials_are_not_run_again(whole):
    folder, found, _ = whole
    workers = Inline()
    again = run_search(found.search, Store(folder), trials=STARTUP + 3, workers=workers)
    assert workers.ran == []
    assert said(again) == said(found)


def test_what_was_run_is_kept_whatever_would_be_proposed_now(whole, tmp_path):
    """Another Optuna may propose otherwise: its trials come behind those that are there."""
    _, found, _ = whole
    run(found.search, tmp_path / "search", 3)
    path = tmp_path / "search/cells/trial-0002-s0.json"
    record = json.loads(path.read_text())
    record["cell"]["tried"] = {"learning_rate": 0.02, "epochs": 1}
    path.write_text(json.dumps(record))
    again = run(found.search, tmp_path / "search", 4)
    assert again.trials[2].settings == {"learning_rate": 0.02, "epochs": 1}
    assert again.trials[3].settings == found.trials[3].settings


def test_trials_side_by_side_do_not_know_of_each_other(tmp_path):
    search = dataclasses.replace(SEARCH, seeds=1, together=2)
    with pytest.raises(Killed):
        run(search, tmp_path / "search", STARTUP + 2, last=STARTUP + 1)
    first = run(search, tmp_path / "search", STARTUP + 2)
    told = [(trial.settings, trial.value.mean) for trial in first.trials]
    told[STARTUP] = (told[STARTUP][0], None)  # it was under way
    next_to_it = propose(search.space, told[: STARTUP + 1], seed=search.seed, number=STARTUP + 1)
    assert first.trials[STARTUP + 1].settings == next_to_it


@pytest.mark.parametrize("method", ["ppo", "reptile", "pearl", "rl2"])
def test_test_tasks_are_never_asked_for(method, tmp_path):
    """The family raises where anybody asks for other tasks than training's."""
    settings = {"num_worlds": 2, "minibatch": 10} if method == "ppo" else {"num_tasks": 2}
    settings |= {} if method == "ppo" else {"episodes": 2}
    search = dataclasses.replace(
        SEARCH, method=method, settings=settings, seeds=1, updates=1, episodes=2,
        search={"hidden": "[4],[8]"},
    )  # fmt: skip
    found = run(search, tmp_path / "search")
    assert [trial.failed for trial in found.trials] == ["", ""]
    tuning_png(found)


def test_there_is_no_way_to_choose_a_split():
    assert "split" not in {field.name for field in dataclasses.fields(Search)}
    assert SEARCH.protocol.split == "train"
    for seed in range(
        5
    ):  # not the tasks of `metarl adapt`, where a family tests on its training tasks
        protocol = dataclasses.replace(SEARCH, seed=seed).protocol
        assert protocol.seed not in (FIRST_HELD_OUT_SEED, SEARCH.protocol.seed) or seed == 0


def test_several_seeds_have_a_mean_and_an_interval(tmp_path):
    found = run(SEARCH, tmp_path / "search")
    for trial in found.trials:
        assert len(trial.reached) == 2
        assert trial.value.mean == pytest.approx(sum(trial.reached) / 2)
        assert trial.value.mean_low <= trial.value.mean <= trial.value.mean_high
        assert trial.value.num_seeds == 2
    assert any("optimistic" in line for line in sentences(found))


def test_settings_that_cannot_be_trained_fail_and_the_search_goes_on(tmp_path):
    search = dataclasses.replace(
        SEARCH, seeds=1, search={"learning_rate": "0.001,1e9", "exploration": "null,source"},
        settings=SEARCH.settings | {"hidden": [4] * 8, "activation": "relu"}, iterations=2,
    )  # fmt: skip
    told = io.StringIO()
    found = run(search, tmp_path / "search", trials=9, told=told)
    assert len(found.trials) == 4  # there are no more
    wrong = [trial for trial in found.trials if trial.settings["exploration"] == "source"]
    assert len(wrong) == 2
    assert all("needs a policy to start from" in trial.failed for trial in wrong)
    fast = [t for t in found.trials if t.settings == {"learning_rate": 1e9, "exploration": None}]
    assert "not finite" in fast[0].failed
    assert str(tmp_path) not in fast[0].failed
    assert "failed: exploration=source needs" in told.getvalue()
    assert "3 trials of 4 failed." in sentences(found)
    assert found.best.number == 0
    again = Inline()
    run_search(search, Store(tmp_path / "search"), trials=9, workers=again)
    assert again.ran == []  # the same would come of it


def test_what_is_no_number_is_no_value():
    each = {name: np.array([0.5, 1.0]) for name in METRICS}
    meta = {"steps": 3, "seconds": 1.0}
    assert reached(each, meta)["returns"] == [0.5, 1.0]
    bad = each | {"returns": np.array([0.5, np.nan])}
    assert reached(bad, meta) == {FAILED: "its returns is not finite"}
    record = Record(
        "trial-0000-s0", {"trial": 0, "tried": {"epochs": 1}}, reached(bad, meta), 0.0, {}
    )
    found = tuned(dataclasses.replace(SEARCH, seeds=1), {record.key: record})
    assert [trial.failed for trial in found.trials] == ["its returns is not finite"]
    assert found.best is None
    assert "No trial was finished" in sentences(found)[-1]


def test_a_training_that_is_lost_is_told_and_tried_again(tmp_path, monkeypatch):
    real = Attempt.run

    def lost(self, folder):
        if self.trial == 1:
            raise OSError("the disk is gone")
        return real(self, folder)

    search = dataclasses.replace(SEARCH, seeds=1)
    monkeypatch.setattr(Attempt, "run", lost)
    found = run(search, tmp_path / "search", 3)
    assert [trial.failed for trial in found.trials] == ["", "OSError: the disk is gone", ""]
    monkeypatch.setattr(Attempt, "run", real)
    found = run(search, tmp_path / "search", 3)
    assert [trial.failed for trial in found.trials] == ["", "", ""]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"search": {"epochs": "1..4"}}, "search.learning_rate: saved '0.0001..0.1:log'"),
        ({"iterations": 2}, "iterations: saved 1, given 2"),
        ({"settings": {}}, "settings.num_worlds: saved 2"),
        ({"metric": "success"}, "metric: saved 'returns', given 'success'"),
        ({"seed": 1}, "seed: saved 0, given 1"),
        ({"num_tasks": 3}, "num_tasks: saved 2, given 3"),
    ],
)
def test_another_search_is_refused(changes, says, whole):
    folder, found, _ = whole
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(ConfigError) as told:
        run(dataclasses.replace(found.search, **changes), folder)
    assert says in str(told.value)
    assert "another --out" in str(told.value)
    assert {p: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before


def test_one_writer_at_a_time(whole):
    folder, found, _ = whole
    lock = FolderLock(folder)
    try:
        with pytest.raises(ConfigError, match="is being written by process"):
            run(found.search, folder, trials=STARTUP + 4)
    finally:
        lock.release()


def test_as_many_trials_as_there_are_different_settings():
    small = dataclasses.replace(SEARCH, search={"epochs": "2..4"})
    assert num_trials(small, 20) == 3
    assert num_trials(small, 2) == 2
    elsewhere = dataclasses.replace(SEARCH, search={"epochs": "6..7"})
    assert num_trials(elsewhere, 20) == 3  # the method's own are tried beside
    assert num_trials(SEARCH, 20) == 20
