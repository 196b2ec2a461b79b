"""What a file may ask for is bounded by what it holds."""

from __future__ import annotations

import resource
import time
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from forged import change

from metarl.adapt.meeting import meet_in
from metarl.errors import MetaRLError
from metarl.methods import adapting_of
from metarl.registry import make_family
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.policies import load_policy
from metarl.sim.worlds import Worlds

OLDER = Path(__file__).parent / "older"
STEP = Path("checkpoints") / "step-00000002.safetensors"
SHIPPED = Path(str(files("metarl_classic"))) / "checkpoints"
WIDE = [
    ([30_000, 30_000], "asks for one with a layer of"),
    ([10**9, 1], "asks for one with a layer of"),
    ([1] * 100_000, "asks for one with a layer of|no whole"),
    ([2**62, 2**62], "asks for one with|no whole"),
    ([3], "no whole policy"),
    ([-1], "expected every width >= 1"),
    ([], "no whole policy"),
    ("abc", "no whole policy"),
    (["a"], "no whole policy"),
    (None, "no whole policy"),
    ({"a": 1}, "no whole policy"),
    ([2.5], "no whole policy"),
    ([True], "no whole policy"),
]


@pytest.mark.parametrize(("hidden", "match"), WIDE, ids=lambda value: str(value)[:20])
def test_widths_that_a_file_does_not_hold(tmp_path, hidden, match):
    path = change(OLDER / "ppo" / STEP, tmp_path / "a.safetensors", {"config.hidden": hidden})
    found = load_checkpoint(path)
    before_kb, start_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(MetaRLError, match=match):
        load_policy(found)
    assert time.process_time() - start_s < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


def test_a_policy_that_is_not_finite(tmp_path):
    found = load_checkpoint(OLDER / "ppo" / STEP)
    found.tensors["policy.head.bias"][0] = float("nan")
    with pytest.raises(MetaRLError, match=r"policy is not finite: head\.bias"):
        load_policy(found)


@pytest.fixture(scope="module")
def worlds():
    made = Worlds(make_family("classic/point-navigation"), 2)
    return made


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"config.encoder_hidden": [30_000, 30_000]}, "asks for one with a layer of"),
        ({"config.encoder_hidden": [3]}, "no whole encoder"),
        ({"config.encoder_hidden": "abc"}, "config is none of"),
        ({"config": {}}, "no whole"),
        ({"config.no-such-field": 1}, "config is none of"),
        ({"method": "no-such-method"}, "no-such-method"),
        ({"blocks": {"robot": 2**40, "task": 2}}, "trained on"),
    ],
)
def test_what_an_adaptation_asks_for(tmp_path, worlds, changes, match):
    source = SHIPPED / "point-navigation-pearl.safetensors"
    found = load_checkpoint(change(source, tmp_path / "a.safetensors", changes))
    meeting = meet_in(worlds, num_tasks=2, generator=torch.Generator())
    with pytest.raises(MetaRLError, match=match):
        adapting_of(found.meta).start(found, meeting, None)


def test_rates_that_fit_no_parameter(tmp_path):
    found = load_checkpoint(OLDER / "maml" / STEP)
    meeting = meet_in(
        Worlds(make_family("toy:toy/reach"), 2), num_tasks=2, generator=torch.Generator()
    )
    for name, tensor in list(found.tensors.items()):
        if name.startswith("rates.trunk"):
            found.tensors[name] = tensor[..., :1].clone()
    with pytest.raises(MetaRLError, match="fits no parameter"):
        adapting_of(found.meta).start(found, meeting, None)
