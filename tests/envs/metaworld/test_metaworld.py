"""Meta-World as families: what can be known without it, and, where it is installed, all of it."""

import json
import subprocess

import metarl_metaworld.families as families
import numpy as np
import pytest
from console import metarl
from metarl_metaworld.names import ML10, MT10, SKILLS
from metarl_metaworld.table import INTERPRETER, THERE, Table, _read, tasks_of

from metarl.conformance import iter_checks
from metarl.errors import ConfigError, MetaRLError
from metarl.registry import family_class, family_names, make_family
from metarl.sim.kinds import make_worlds
from metarl.streams import Streams

REACH = "metaworld/reach-v3"
NAMED = "metarl_metaworld:metaworld/reach-v3"


def why_not() -> str:
    try:
        INTERPRETER.path()
    except MetaRLError as error:
        return str(error)
    return ""


there = pytest.mark.skipif(bool(why_not()), reason=why_not() or "it is there")


def asked(code: str) -> object:
    """What Meta-World's interpreter says."""
    done = subprocess.run(
        [INTERPRETER.path(), "-I", "-c", f"import json, metaworld as m, metaworld.env_dict as e\n{code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


# Without it ------------------------------------------------------------------------------


def test_all_skills_have_a_family_that_no_list_is_flooded_with():
    names = set(family_names(unlisted=True))
    assert {f"metaworld/{skill}" for skill in SKILLS} <= names
    assert {"metaworld/ml10", "metaworld/mt10"} <= names
    assert len(SKILLS) == len(set(SKILLS)) == 50
    assert not any(name.startswith("metaworld/") for name in family_names())
    assert (family_class(REACH).__doc__ or "").startswith("Meta-World's reach: fifty goals")


@pytest.mark.parametrize(
    "words", [["check", NAMED], ["train", NAMED, "--method", "ppo"], ["watch", NAMED], ["families", NAMED]]
)  # fmt: skip
def test_without_an_interpreter_every_command_says_what_to_do(words, tmp_path):
    nowhere = {"XDG_CACHE_HOME": str(tmp_path), INTERPRETER.variable: ""}
    done = metarl(*words, more=nowhere)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "`metarl metaworld install` makes it, or METARL_METAWORLD_PYTHON names" in done.stderr
    assert "pass" not in done.stdout


def test_families_are_counted_below_the_table():
    done = metarl("families", "--json")
    assert "more" in json.loads(done.stdout)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "nonsense", '[{"skill": "reach-v3"}]',
             '[{"skill": "no", "split": "train", "places_m": [1], "goal_m": [1, 2, 3]}]',
             '[{"skill": "reach-v3", "split": "train", "places_m": [NaN], "goal_m": [1, 2, 3]}]',
             '[{"skill": "reach-v3", "split": "test", "places_m": [1], "goal_m": [1, 2, 3]}]',
             '[{"skill": "reach-v3", "split": "train", "places_m": [1,2,3,4,5,6,7,8], "goal_m": [1, 2, 3]}]'],
)  # fmt: skip
def test_a_table_that_is_none_is_not_taken(text):
    assert _read(text, ("reach-v3",)) is None


# With it ---------------------------------------------------------------------------------


@there
def test_skills_and_benchmarks_are_meta_worlds():
    assert asked("print(json.dumps(sorted(e.ALL_V3_ENVIRONMENTS)))") == sorted(SKILLS)
    ml10 = asked("print(json.dumps([list(e.ML10_V3[s]) for s in ('train', 'test')]))")
    assert (*ml10[0], *ml10[1]) == ML10
    assert asked("print(json.dumps(list(e.MT10_V3)))") == list(MT10)


@there
def test_tasks_are_meta_worlds_own():
    family = make_family(REACH)
    vectors = asked(
        "import pickle; b = m.ML1('reach-v3', seed=42)\n"
        "print(json.dumps([pickle.loads(t.data)['rand_vec'].tolist() for t in b.train_tasks + b.test_tasks]))"
    )
    table = family.table
    assert (table.places_m[:, :6] == np.array(vectors)).all()
    assert table.test.tolist() == [False] * 50 + [True] * 50
    assert (table.goal_m == table.places_m[:, 3:6]).all()
    train, test = (family.sample(Streams.from_seed(0, 500), 500, s) for s in ("train", "test"))
    assert set(train.number.tolist()) == set(range(50))
    assert set(test.number.tolist()) == set(range(50, 100))
    with pytest.raises(ConfigError, match="has no split 'far'; it has train, test"):
        make_worlds(family, 1, split="far")


@there
@pytest.mark.parametrize("name", [REACH, "metaworld/ml10"])
def test_it_passes_every_check(name):
    results = list(iter_checks(name, num_tasks=4))
    assert [f"{r.name}: {r.detail}" for r in results if r.failed] == []
    assert sum(r.passed for r in results) >= 22


@there
def test_worlds_are_what_meta_world_gives():
    worlds = make_worlds(make_family(REACH), 2, num_threads=1)
    actions = np.random.default_rng(0).uniform(-1, 1, (30, 4)).astype(np.float32)
    number = worlds.task.number.tolist()
    obs, reward = [worlds.reset()[:, :36]], []
    for action in actions:
        step = worlds.step(np.stack([action, action]))
        obs.append(step.obs[:, :36])
        reward.append(step.reward)
    theirs = asked(f"""
import numpy as np
b = m.ML1('reach-v3', seed=42); found = []
for k in {number}:
    env = b.train_classes['reach-v3'](); env.set_task(b.train_tasks[k]); o, _ = env.reset()
    rows, rewards = [o.tolist()], []
    for a in np.random.default_rng(0).uniform(-1, 1, (30, 4)).astype(np.float32):
        o, r, *_ = env.step(a); rows.append(o.tolist()); rewards.append(float(r))
    found.append([rows, rewards])
print(json.dumps(found))
""")
    for i, (rows, rewards) in enumerate(theirs):
        assert (np.array(obs)[:, i] == np.array(rows, np.float32)[:, :36]).all()
        assert (np.array(reward)[:, i] == np.array(rewards, np.float32)).all()


@there
def test_an_episode_succeeds_if_it_did_at_any_step():
    worlds = make_worlds(make_family(REACH), 4, num_threads=1)
    worlds.reset()
    solved = np.zeros(4, bool)
    for t in range(500):
        away = worlds.task.goal_m - worlds.obs[:, :3]
        push = np.clip(15.0 * away, -1, 1) if t < 200 else np.full((4, 3), -1.0)
        step = worlds.step(np.concatenate([push, np.zeros((4, 1))], axis=1))
        assert (step.success >= solved).all()
        solved = step.success
    assert solved.mean() >= 0.75
    assert (np.linalg.norm(worlds.obs[:, :3] - worlds.task.goal_m, axis=1) > 0.1).all()
    assert step.truncated.all()


@there
def test_skills_change_in_a_world():
    worlds = make_worlds(make_family("metaworld/mt10"), 3, num_threads=1)
    table = worlds.family.table
    assert isinstance(table, Table)
    for first in (0, 3):
        skill = np.array([first, first + 1, first + 2])
        number = skill * 50
        task = families.Mt10Task(number, table.goal_m[number], np.eye(10)[skill])
        worlds.assign(task)
        obs = worlds.reset()
        assert (obs[:, -10:].argmax(axis=1) == skill).all()  # in view
        assert len(np.unique(obs[:, 4:18], axis=0)) == 3
        assert not worlds.step(np.zeros((3, 4))).diverged.any()


@there
def test_a_picture_is_drawn():
    worlds = make_worlds(make_family(REACH), 1)
    worlds.reset()
    picture = worlds.picture(0)
    assert picture.shape == (480, 480, 3)
    assert picture.std() > 20
    assert picture[:100].mean() < picture[-200:, 200:400].max()


@there
def test_a_table_is_drawn_once(tmp_path, monkeypatch):
    python = INTERPRETER.path()
    monkeypatch.setenv(INTERPRETER.variable, python)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tasks_of.cache_clear()
    first = tasks_of("ml1:push-v3", ("push-v3",))
    (kept,) = (tmp_path / "metarl" / "metaworld").iterdir()
    written = kept.stat().st_mtime_ns
    tasks_of.cache_clear()
    assert (tasks_of("ml1:push-v3", ("push-v3",)).places_m == first.places_m).all()
    assert kept.stat().st_mtime_ns == written
    kept.write_text("[1, 2")  # damaged: drawn again
    tasks_of.cache_clear()
    assert (tasks_of("ml1:push-v3", ("push-v3",)).places_m == first.places_m).all()
    assert json.loads(kept.read_text())
    assert THERE.is_file()
