"""Names of metrics are explained, and what was measured after each update is one row."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import metarl
from metarl.report.names import condensed, meaning
from metarl.rl.ppo import _NOTED

LEARN = ("meta", "rl", "multitask", "perception")  # rooms whose trainers record metrics


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("success_0", "share of episodes that ended well, 0 to 1, before any update"),
        ("success_1", "after 1 update"),
        ("return_3", "after 3 updates"),
        ("success after each update", "the first before any"),
        ("term/spill", "reward term spill"),
        ("success/kitchen-heat", "success of kitchen-heat"),
        ("cosine/a ~ b", "how far the gradients of a ~ b agree"),
        ("cosine/least", "of the two tasks that agree least"),
        ("steps_per_s", "[1/s]"),
        ("something of mine", ""),
    ],
)
def test_names_are_explained(name, said):
    assert said in meaning(name)
    assert bool(meaning(name)) == bool(said)


def test_updates_are_one_row():
    result = {"success_after": 0.5, "success_0": 0.1, "success_1": 0.5, "loss": 2.0}
    assert condensed(result) == {
        "success_after": 0.5,
        "success after each update": [0.1, 0.5],
        "loss": 2.0,
    }


def recorded() -> set[str]:
    """Names in the dicts of every function that gives metrics, as the code has them."""
    found = set[str]()
    for room in LEARN:
        for path in (Path(metarl.__file__).parent / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.FunctionDef) or node.returns is None:
                    continue
                if "dict[str, float]" in ast.unparse(node.returns):
                    said = (n for n in ast.walk(node) if isinstance(n, ast.Return | ast.Assign))
                    dicts = (n.value for n in said if isinstance(n.value, ast.Dict))
                    found |= {k.value for d in dicts for k in d.keys if isinstance(k, ast.Constant)}
    return found | set(_NOTED.values())


def test_every_metric_that_a_trainer_records_is_explained():
    names = recorded()
    assert {"surprise", "critic_loss", "held-back error", "episodes_seen"} <= names
    assert sorted(name for name in names if not meaning(name)) == []
