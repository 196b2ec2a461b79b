"""Tasks that are split over workers: the same numbers, up to the order in which they are added up."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from alike import same

from metarl.errors import ConfigError
from metarl.learn.packing import packed, unpacked
from metarl.meta.maml import split as module
from metarl.methods import get_training
from metarl.registry import make_family
from metarl.runs.config import configure

SMALL = {"num_tasks": 5, "episodes": 2, "iterations": 2, "hidden": [8], "outer_rate": 0.05}
# Of each method: what else is set, and how far numbers may be apart after two iterations.
METHODS = {
    "maml": {"inner_updates": 2, "outer_epochs": 2, "weigh_tasks": True, "context_std": 0.5},
    "anil": {"inner_updates": 2, "outer_epochs": 2, "first_order": True},
    "meta-sgd": {"outer_epochs": 2, "outer_gamma": 0.99},
    "promp": {"outer_epochs": 2},
    "reptile": {"inner_updates": 2},
    "maml-trpo": {"outer_rate": 1e-3},
}


class Here:
    """Workers in this process; what they are given and give is copied as if it were sent."""

    cores = 8

    def __init__(self, cluster, make, parts, names):
        self.parts = [make(*given) for given in parts]
        self.calls = []

    @property
    def size(self):
        return len(self.parts)

    def connect(self):
        """There is nothing to connect."""

    def put(self, what):
        return packed(what)

    def begin(self):
        self.calls = []

    def ask(self, calls, *, keep=False):
        self.calls.append(calls)
        return {
            k: unpacked(packed(getattr(self.parts[k], name)(*map(unpacked, given))))
            for k, (name, *given) in calls.items()
        }


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.setattr(module, "Crew", Here)


def trainer_of(method, family="falling:falling/reach", workers=0, **changes):
    training = get_training(method)
    config = configure(
        training.config, {**training.settings, **SMALL, **METHODS[method], **changes}
    )
    trainer = training.trainer(make_family(family), config, num_threads=1)
    trainer.method = method
    if workers:
        trainer.split_over(Here(None, None, (), ()), family, workers)
    return trainer


def run(trainer, iterations=2):
    return [trainer.iterate() for _ in range(iterations)]


@pytest.mark.parametrize("method", METHODS)
def test_any_number_of_workers_gives_the_same(method):
    whole = trainer_of(method)
    first = run(whole)
    tolerance = {"rtol": 1e-4, "atol": 1e-5}
    for workers in (2, 5):
        trainer = trainer_of(method, workers=workers)
        metrics = run(trainer)
        for now, before in zip(metrics, first):
            for name in before.keys() - {"steps_per_s", "collect_s", "update_s"}:
                assert now[name] == pytest.approx(before[name], rel=1e-3, abs=1e-4), name
        a, b = whole.state_dict(), trainer.state_dict()
        for name, p in a["policy"].items():
            torch.testing.assert_close(b["policy"][name], p, **tolerance)
        for name, rate in a["rates"].items():
            torch.testing.assert_close(b["rates"][name], rate, **tolerance)
        assert same(a["generator"], b["generator"])
        assert np.array_equal(a["worlds"]["counters"], b["worlds"]["counters"])
        assert np.array_equal(a["worlds"]["keys"], b["worlds"]["keys"])
        assert a["progress"][:2] == b["progress"][:2]


def test_every_episode_goes_as_it_would_with_all_tasks_in_one_place():
    """To the bit; and the episodes of the workers do end at different times, or this would say nothing."""
    from metarl.learn.share import alone

    whole, trainer = trainer_of("maml"), trainer_of("maml", workers=2)
    expected, episodes = alone(whole.exploring())
    batches, outcomes = trainer.split.explore()
    assert len(batches) == len(expected) == 3
    for mine, theirs in zip(expected, batches):
        for name, x in mine._asdict().items():
            assert same(x, getattr(theirs, name)), name
    for mine, theirs in zip(episodes, outcomes):
        assert np.array_equal(mine.returns, theirs.returns)
        assert np.array_equal(mine.success, theirs.success)
        assert mine.num_steps == theirs.num_steps
    lengths = [len(each.reward) for each in episodes]
    assert min(lengths) < 12
    told = [call for calls in trainer.split._crew.calls for call in calls.values()]
    assert {name for name, *_ in told} == {"explore", "go_on", "batches"}


def test_what_a_run_goes_on_from_holds_for_any_number_of_workers():
    straight = trainer_of("maml", workers=2)
    run(straight)
    stopped = trainer_of("maml", workers=2)
    run(stopped, 1)
    state = stopped.state_dict()
    for workers in (2, 3, 0):
        resumed = trainer_of("maml", workers=workers)
        resumed.load_state_dict(copy.deepcopy(state))
        run(resumed, 1)
        for name, p in straight.state_dict()["policy"].items():
            now = resumed.state_dict()["policy"][name]
            if workers == 2:
                assert same(p, now)
            else:
                torch.testing.assert_close(now, p, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_says_how_many_workers_there_were():
    assert "workers" not in trainer_of("maml").checkpoint()[1]
    assert trainer_of("maml", workers=2).checkpoint()[1]["workers"] == 2


def test_more_workers_than_tasks_are_refused():
    with pytest.raises(
        ConfigError, match="workers is 6; expected an integer from 1 to 5, the tasks"
    ):
        trainer_of("maml", workers=6)
    trainer = trainer_of("maml")
    trainer.config = dataclasses.replace(trainer.config, device="cuda")
    with pytest.raises(ConfigError, match="device is 'cuda'; expected cpu, where workers are"):
        trainer.split_over(Here(None, None, (), ()), "falling:falling/reach", 2)


def test_it_says_how_tasks_are_split():
    assert (
        str(trainer_of("maml", workers=2).split) == "2 workers on Ray, with up to 3 of 5 tasks each"
    )
    assert str(trainer_of("maml", workers=5).split) == "5 workers on Ray, with 1 of 5 tasks each"
    assert str(trainer_of("maml", workers=1).split) == "1 worker on Ray, with 5 of 5 tasks each"
