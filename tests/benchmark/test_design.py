"""A benchmark as data: what stands in every table, and the cells that it is made of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from metarl.benchmark.cells import Meeting, Training
from metarl.benchmark.definition import define
from metarl.benchmark.given import look_up
from metarl.benchmark.parsing import parse_sections
from metarl.benchmark.run import open_benchmark
from metarl.errors import CheckpointError, ConfigError
from metarl.grid.cell import with_needs
from metarl.grid.store import Store
from metarl.matrix.cells import NOISE
from metarl.runs.policies import read_checkpoint
from metarl.runs.shipped import shipped

ROOT = Path(__file__).parents[2]
TRAINED = """
[families."kitchen/season"]
start = { method = "ppo", iterations = 3, settings = { num_worlds = 8 } }
"""
SHIPPED = '[families."kitchen/season"]\nstart = "season-ppo"\n'


def benchmark(text, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return open_benchmark(path, tmp_path / "out").benchmark


def defined(text):
    return define(parse_sections(text, "mine.toml"), "mine.toml")


def labels(text):
    [table] = defined(text).tables
    return [arm.label for arm in table.arms]


def test_scratch_fine_tuning_and_a_control_stand_beside_whatever_is_asked():
    assert labels(f'arms = ["maml"]\n{SHIPPED}') == [
        "scratch", "fine-tune", "fine-tune, other noise", "maml",
    ]  # fmt: skip
    [table] = defined(f'arms = ["maml"]\n{SHIPPED}').tables
    assert [arm.added for arm in table.arms] == [True, True, True, False]
    assert table.ceiling


def test_what_the_file_has_is_not_added_again():
    text = f"{SHIPPED}[arms.fine-tune]\nsettings = {{ rate = 1e-3 }}\n[arms.maml]"
    [table] = defined(text).tables
    assert [arm.label for arm in table.arms] == [
        "scratch", "fine-tune", "fine-tune, other noise", "maml",
    ]  # fmt: skip
    assert table.arms[2].settings == {"rate": 1e-3}
    own = f'{SHIPPED}[arms.mine]\nmethod = "fine-tune"\n[arms.noise]\nrepeats = "mine"'
    assert labels(own) == ["scratch", "mine", "mine, other noise"]


def test_fine_tuning_of_another_policy_is_no_baseline():
    text = f'{SHIPPED}[arms.other]\nmethod = "fine-tune"\ncheckpoint = "heat-ppo"'
    assert labels(text) == ["scratch", "fine-tune", "fine-tune, other noise", "other"]


def test_what_is_taught_has_taught_ones_beside_it():
    assert labels(f'arms = ["small-rate-dagger"]\n{SHIPPED}') == [
        "scratch", "fine-tune", "fine-tune, other noise",
        "scratch-dagger", "fine-tune-dagger", "fine-tune-dagger, other noise", "small-rate-dagger",
    ]  # fmt: skip


def test_a_checkpoint_on_one_table_alone_stands_for_training_there():
    text = f"""{SHIPPED}
[families."kitchen/heat"]
start = "heat-ppo"
[arms.maml]
iterations = 9
settings = {{ inner_updates = 2 }}
[arms.maml.on."kitchen/season"]
checkpoint = "season-maml"
"""
    season, heat = ({arm.name: arm for arm in table.arms}["maml"] for table in defined(text).tables)
    assert (season.checkpoint, season.iterations, season.settings) == (("season-maml",), None, {})
    assert (heat.checkpoint, heat.iterations, heat.settings) == ((), 9, {"inner_updates": 2})
    with pytest.raises(ConfigError, match=r'on\."kitchen/season"\.iterations has no effect'):
        defined(f"{text}iterations = 3")


def test_an_arm_that_differs_between_tables_is_explained_for_each():
    from metarl.report.benchmark import _arms

    text = f"""{SHIPPED}
[families."kitchen/heat"]
start = "heat-ppo"
[arms.maml]
iterations = 1
[arms.maml.on."kitchen/season"]
checkpoint = "season-maml"
"""
    rows = [row for row in _arms(defined(text)) if row[0] in ("maml", "scratch")]
    told = {(name, trained, where) for name, _, trained, _, where in rows}
    assert told == {
        ("scratch", "nothing", "every table"),
        ("maml", "nothing; given: season-maml", "kitchen/season"),
        ("maml", "1 iteration", "kitchen/heat"),
    }


def test_leaving_out_is_explicit():
    text = f'without = ["scratch", "control", "ceiling"]\narms = ["maml"]\n{SHIPPED}'
    assert labels(text) == ["fine-tune", "maml"]
    found = defined(text)
    assert not found.tables[0].ceiling
    assert found.without == ("scratch", "control", "ceiling")
    without = f'without = ["scratch", "fine-tune"]\narms = ["maml"]\n{SHIPPED}'
    assert labels(without) == ["maml", "maml, other noise"]


def test_a_name_that_is_taken_by_another_method_hides_no_baseline():
    text = f'{SHIPPED}[arms.scratch]\nmethod = "maml"'
    [table] = defined(text).tables
    assert {arm.name: arm.method for arm in table.arms if arm.added} == {
        "scratch-2": "scratch", "fine-tune": "fine-tune", "control": "fine-tune"
    }  # fmt: skip


def test_cells_of_every_seed_come_before_those_of_the_next(tmp_path):
    cells = with_needs(benchmark(f"seeds = 2\narms = ['maml']\n{TRAINED}", tmp_path).cells())
    first = [
        "train.kitchen-season-ppo-s0", "adapt.kitchen-season.scratch.s0",
        "adapt.kitchen-season.fine-tune.s0", "adapt.kitchen-season.control.s0",
        "train.kitchen-season-maml-s0", "adapt.kitchen-season.maml.s0",
        "adapt.kitchen-season.ceiling.s0",
    ]  # fmt: skip
    assert [cell.key for cell in cells] == first + [key.replace("s0", "s1") for key in first]
    by_key = {cell.key: cell for cell in cells}
    maml = by_key["train.kitchen-season-maml-s1"]
    assert isinstance(maml, Training)
    assert maml.start == by_key["train.kitchen-season-ppo-s1"]
    control, tuned = (
        by_key[f"adapt.kitchen-season.{name}.s1"] for name in ("control", "fine-tune")
    )
    assert control.protocol == replace(tuned.protocol, noise=NOISE)
    assert replace(control, arm="fine-tune", protocol=tuned.protocol) == tuned


def test_a_control_of_what_is_trained_trains_nothing_more(tmp_path):
    text = f'seeds = 1\nwithout = ["fine-tune", "scratch"]\narms = ["maml"]\n{TRAINED}'
    keys = [cell.key for cell in with_needs(benchmark(text, tmp_path).cells())]
    assert [key for key in keys if key.startswith("train.")] == [
        "train.kitchen-season-ppo-s0", "train.kitchen-season-maml-s0",
    ]  # fmt: skip
    assert "adapt.kitchen-season.control.s0" in keys


def test_what_is_given_once_is_measured_once(tmp_path):
    text = f'seeds = 3\narms = ["pearl"]\n{SHIPPED}'
    cells = benchmark(text, tmp_path).cells()
    keys = [cell.key for cell in cells]
    assert keys.count("adapt.kitchen-season.scratch.season-ppo") == 1
    assert [key for key in keys if ".pearl." in key] == [
        f"adapt.kitchen-season.pearl.s{seed}" for seed in range(3)
    ]
    assert not (tmp_path / "out").exists()  # looking writes nothing


def test_a_checkpoint_for_each_seed(tmp_path):
    text = "{}\n[families.'kitchen/season']\nstart = ['season-ppo', 'heat-ppo']\n"
    text += "arms = ['fine-tune']\n[arms.fine-tune]\n"
    cells = benchmark(text.format("seeds = [4, 7]"), tmp_path).cells()
    names = [cell.start.name for cell in cells if cell.arm == "fine-tune"]
    assert names == ["season-ppo", "heat-ppo"]
    with pytest.raises(
        ConfigError, match="2 checkpoints for 3 seeds; expected one, or one for each"
    ):
        benchmark(text.format("seeds = 3"), tmp_path)


def test_two_budgets_of_a_family_are_two_tables(tmp_path):
    more = '[families."many episodes"]\nfamily = "kitchen/season"\nstart = "kitchen/season"\n'
    more += "protocol = { episodes = 80 }\n"
    cells = with_needs(benchmark(f"seeds = 1\narms = ['maml']\n{TRAINED}{more}", tmp_path).cells())
    keys = [cell.key for cell in cells]
    assert keys.count("train.kitchen-season-maml-s0") == 1  # both meet it
    assert "adapt.many-episodes.maml.s0" in keys
    episodes = {cell.key: cell.protocol.episodes for cell in cells if isinstance(cell, Meeting)}
    assert episodes["adapt.many-episodes.control.s0"] == 80
    assert episodes["adapt.kitchen-season.control.s0"] == 10


def test_two_trainings_of_one_name_are_refused(tmp_path):
    text = f"""seeds = 1
{SHIPPED}
[families.other]
family = "kitchen/season"
start = "season-ppo"
[arms.maml]
[arms.maml.on.other]
iterations = 3
"""
    with pytest.raises(ConfigError, match="in two ways that would both be called"):
        benchmark(text, tmp_path)
    apart = text.replace(
        "[arms.maml]", "[arms.maml]\n[arms.short]\nmethod = 'maml'\niterations = 3"
    )
    apart = apart.replace("[arms.maml.on.other]\niterations = 3\n", "")
    keys = [cell.key for cell in with_needs(benchmark(apart, tmp_path).cells())]
    assert {"train.kitchen-season-maml-s0", "train.kitchen-season-maml-short-s0"} <= set(keys)


def test_starts_in_a_circle_are_told(tmp_path):
    text = """arms = ["maml"]
[families."kitchen/season"]
start = "kitchen/heat"
[families."kitchen/heat"]
start = { method = "ppo", start = "kitchen/season" }
"""
    with pytest.raises(ConfigError, match="starts from it in turn"):
        benchmark(text, tmp_path)


def test_a_start_may_go_on_from_another_family(tmp_path):
    text = """seeds = 1
arms = ["maml"]
[families."kitchen/skills"]
start = { method = "dagger", iterations = 2 }
[families."kitchen/dishes"]
start = { method = "dagger", iterations = 2, start = "kitchen/skills" }
"""
    by_key = {cell.key: cell for cell in with_needs(benchmark(text, tmp_path).cells())}
    dishes = by_key["train.kitchen-dishes-dagger-s0"]
    assert dishes.start == by_key["train.kitchen-skills-dagger-s0"]
    assert "--from runs/skills-dagger" in dishes.command


def test_checkpoints_are_looked_for_beside_the_file(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        source = shipped("kitchen/season", "season-ppo" if name == "a" else "season-pearl")
        (tmp_path / name / "mine.safetensors").write_bytes(source.read_bytes())
    named = [("kitchen/season", f"{name}/mine.safetensors") for name in ("a", "b")]
    one, other = (found.given.name for found in look_up(named, tmp_path, tmp_path / "out").values())
    assert one == "mine"
    assert other.startswith("mine-")
    with pytest.raises(
        CheckpointError, match="no checkpoint nowhere; expected a file or a run folder"
    ):
        look_up([("kitchen/season", "nowhere")], tmp_path, tmp_path / "out")


def test_a_checkpoint_of_another_method_is_told_before_anything_runs(tmp_path):
    text = f'{SHIPPED}[arms.maml]\ncheckpoint = "season-pearl"'
    with pytest.raises(ConfigError, match="season-pearl was trained by pearl, not by maml"):
        benchmark(text, tmp_path)


def test_cells_are_those_of_the_published_table(tmp_path):
    """What was measured for the adaptation tables stands for the same cells of a file."""
    known = Store(ROOT / "benchmarks/results/adaptation").read()
    cells = with_needs(open_benchmark(ROOT / "benchmarks/season.toml", tmp_path).benchmark.cells())
    mine = {cell.key: cell.definition() for cell in cells}
    both = [key for key in mine if key in known]
    assert [key for key in both if mine[key] != known[key].cell] == []
    methods = ("maml", "rl2", "pearl")
    assert {f"train.kitchen-season-{m}-s{s}" for m in ("ppo", *methods) for s in range(5)} <= set(
        both
    )
    assert {f"adapt.kitchen-season.{m}.s{s}" for m in methods for s in range(5)} <= set(both)


def test_a_trained_policy_by_hand_is_the_same_command():
    trained = Training(
        family="kitchen/season", method="ppo", iterations=70, seed=0, settings={}
    ).command  # fmt: skip
    assert trained == read_checkpoint(shipped("kitchen/season", "season-ppo")).meta["command"]


def test_marks_are_no_part_of_a_definition_where_there_are_none():
    cell = Training(family="kitchen/season", method="ppo", iterations=1)
    assert "label" not in json.dumps(cell.definition())
    assert replace(cell, label="x").definition()["label"] == "x"
    assert "label" not in json.dumps(
        Meeting(family="a", arm="b", start=cell, methods={}).definition()
    )
