"""Workers on Ray: what is lost is made anew, and every wait has a limit."""

from __future__ import annotations

import importlib.util
import logging
import time

import pytest
import torch
from crews import Sum

from metarl.cluster.instance import Cluster
from metarl.errors import ConfigError, FamilyError, TrainingError, UnknownNameError
from metarl.learn import crew as module
from metarl.learn.crew import Crew
from metarl.learn.packing import packed, unpacked

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install ray"
)


@pytest.fixture(scope="module")
def cluster():
    with Cluster(cores=3, goes_on="go on") as made:
        made.connect()
        yield made


@pytest.fixture(scope="module")
def made(cluster):
    made = Crew(cluster, Sum, [(10,), (20,)], ["tens", "twenties"])
    yield made
    made.close()


@pytest.fixture
def crew(made):
    """Two workers as they were made, whatever has become of them: who was lost is there again."""
    made.begin()
    made._restarts = [0, 0]
    made.ask({0: ("anew",), 1: ("anew",)})
    made._restarts = [0, 0]
    return made


def test_tensors_travel_as_arrays():
    tree = {"a": [torch.arange(3), (1, "b")], "c": None}
    there = packed(tree)
    assert not isinstance(there["a"][0], torch.Tensor)
    back = unpacked(there)
    assert torch.equal(back["a"][0], tree["a"][0])
    assert back["a"][1] == (1, "b")
    assert back["c"] is None


@needs_ray
def test_a_lost_worker_does_again_what_it_had_done(crew, tmp_path, caplog):
    assert crew.ask({0: ("add", 1), 1: ("add", 2)}, keep=True) == {0: 11, 1: 22}
    assert crew.ask({0: ("add", 1)}, keep=True) == {0: 12}
    with caplog.at_level(logging.WARNING):
        both = crew.ask({0: ("dies", str(tmp_path / "count"), 2), 1: ("add", 0)})
    assert both == {0: 12, 1: 22}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[1].startswith("worker 1 of 2 (tens) was lost: ")
    assert "it is started again (2 of at most 3 times)" in said[1]
    crew.begin()  # what was done before plays no part any more
    assert crew.ask({0: ("dies", str(tmp_path / "again"), 1)}) == {0: 10}


@needs_ray
def test_a_worker_that_is_lost_too_often_is_told_in_one_line(crew, tmp_path):
    with pytest.raises(TrainingError, match=r"worker 2 of 2 \(twenties\) was lost 4 times") as told:
        crew.ask({1: ("dies", str(tmp_path / "count"), 9)})
    assert "started again 3 times" in str(told.value)
    assert "\n" not in str(told.value)
    assert len((tmp_path / "count").read_text()) == 4


@needs_ray
def test_a_worker_that_does_not_answer_is_taken_for_lost(crew, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "ANSWER_S", 3.0)
    assert crew.ask({0: ("waits", str(tmp_path / "flag"))}) == {0: 10}
    assert "it has not answered for 3 s" in caplog.text


@needs_ray
def test_what_goes_wrong_in_a_worker_comes_up_here(crew):
    with pytest.raises(UnknownNameError, match=r"worker 2 of 2 \(twenties\): unknown pot 'pan'"):
        crew.ask({0: ("add", 0), 1: ("fails", "typed")})
    with pytest.raises(KeyError, match="raw"):
        crew.ask({0: ("fails", "raw")})
    assert crew.ask({0: ("add", 0)}) == {0: 10}  # it lives


@needs_ray
def test_workers_that_cannot_be_are_told(cluster, crew, monkeypatch):
    with pytest.raises(ConfigError, match="workers is 4; the Ray cluster has 3 cores, and each"):
        Crew(cluster, Sum, [(1,)] * 4, ["a", "b", "c", "d"])
    monkeypatch.setattr(module, "START_S", 2.0)
    begun_s = time.monotonic()
    with pytest.raises(
        ConfigError, match=r"worker \d of 2 \([ab]\) has not started within 2 s; the Ray"
    ):
        Crew(cluster, Sum, [(1,)] * 2, ["a", "b"])  # the others take two cores of three
    assert time.monotonic() - begun_s < 10.0


@needs_ray
def test_a_part_that_cannot_be_made_is_told_as_its_maker_says(cluster):
    with pytest.raises(FamilyError, match=r"worker 1 of 1 \(a\): no worlds"):
        Crew(cluster, Sum, [(1, True)], ["a"])
