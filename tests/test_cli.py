"""The command line as a user runs it: a new process, its streams and its exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import mujoco
import numpy as np
import pytest
import torch

from metarl import cli
from metarl.commands import watch as watch_module
from metarl.commands.learn import default_folder
from metarl.errors import CheckpointError
from metarl.methods import method_names
from metarl.nn.policy import GaussianPolicy
from metarl.registry import make_family
from metarl.runs.checkpoint import save_checkpoint
from metarl.runs.metrics import read_metrics
from metarl.sim.worlds import Worlds

HERE = Path(__file__).parent  # toy.py is here: toy:toy/reach finds it in the working folder
TOY = "toy:toy/reach"
LIMIT_S = 3.0  # the goal is 1 s on an idle machine; a busy one may take three times as long


def metarl(*words: str | Path, cwd: Path = HERE) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "metarl", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)


def seconds(*words: str) -> float:
    started_s = time.monotonic()
    assert metarl(*words).returncode == 0
    return time.monotonic() - started_s


# Fast answers ---------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("--help",), ("families",), ("train", "--help")])
def test_answers_at_once(words):
    assert min(seconds(*words) for _ in range(2)) < LIMIT_S


@pytest.mark.parametrize(
    ("words", "heavy"),
    [(["--help"], ("torch", "mujoco", "numpy")), (["families"], ("torch", "matplotlib"))],
)
def test_loads_nothing_heavy(words, heavy):
    code = (
        "import sys\nfrom metarl.cli import main\n"
        f"try:\n    main({words})\nexcept SystemExit:\n    pass\n"
        f"sys.exit(' '.join(name for name in {heavy} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_families_lists_what_is_installed():
    done = metarl("families")
    rows = [line for line in done.stdout.splitlines() if line.strip().startswith("kitchen/")]
    assert len(rows) >= 3
    assert "[m]" in rows[0]
    assert "steps" in rows[0]
    assert all(word in done.stdout for word in ("hidden", "visible", "episode"))


BROKEN = """
import sys
from importlib.metadata import EntryPoint
from metarl import registry
real = registry.entry_points
stranger = EntryPoint("stranger", "no_such_module", registry.GROUP)
registry.entry_points = lambda group: [stranger, *real(group=group)]
from metarl.cli import main
sys.exit(main(["families"]))
"""


def test_broken_plugin_hides_no_other():
    done = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True)
    assert done.returncode == 0
    assert "kitchen/season" in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("broken: ")
    assert "no_such_module" in last


def test_version():
    assert metarl("version").stdout.startswith("metarl ")


def test_no_words_print_the_help():
    assert "families" in metarl().stdout


# Mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["famlies"], "families"),
        (["watch", "kitchen/seson"], "kitchen/season"),
        (["watch", "toy:toy/rech"], "toy/reach"),
        (["watch", TOY, "--policy", "exprt"], "expert"),
        (["watch", TOY, "--policy", "reference"], "no trained reference"),
        (["adapt", "season-perl", "kitchen/season"], "season-pearl"),
        (["check", "kitchn/heat"], "kitchen/heat"),
        (["adapt", "x", "kitchen/season", "--strategy", "fine-tun"], "fine-tune"),
        (["adapt", "x", "kitchen/season", "--strategy", "untrained-iner"], "untrained-inner-loop"),
        (["train", "kitchn/season"], "kitchen/season"),
        (["train", "kitchen/season", "--from", "nowhere"], "nowhere"),
        (["train", TOY, "--set", "outr_rate=1"], "'outer_rate'"),
        (["train", TOY, "--set", "outer_rate=fast"], "expected float"),
        (["train", TOY, "--set", "seed=1"], "option of its own"),
        (["train", TOY, "--set", "outer_rate"], "NAME=VALUE"),
        (["watch", TOY, "--episodes", "0"], "at least 1"),
        (["report", "nowhere"], "run folder"),
    ],
)
def test_mistake_is_one_line(words, nearest):
    done = metarl(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("metarl: ")
    assert done.stderr.count("\n") == 1
    assert nearest in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["watch", TOY, "--polcy", "expert"], "--policy"),
        (["train", TOY, "--sede", "3"], "--seed"),
        (["watch", TOY, "--split", "tset"], "test"),
        (["watch", TOY, "--seed", "three"], "three"),
    ],
)
def test_misspelt_option_names_the_nearest(words, nearest):
    done = metarl(*words)
    assert done.returncode == 2
    assert nearest in done.stderr
    assert "Traceback" not in done.stderr


def test_interrupt_exits_130(monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.Version, "run", interrupted)
    assert cli.main(["version"]) == 128 + signal.SIGINT


# Watching -------------------------------------------------------------------------------


def test_watch_writes_a_film(tmp_path):
    out = tmp_path / "new" / "film.mp4"
    done = metarl("watch", TOY, "--policy", "expert", "--episodes", 2, "--out", out)
    assert done.returncode == 0, done.stderr
    assert f"wrote {out}" in done.stdout
    assert "2 of 2 episodes succeeded" in done.stdout
    assert "no display" in done.stdout
    frames = iio.imread(out)
    assert len(frames) >= 2 * 41
    assert frames.shape[1:] == (480, 640, 3)
    assert frames.std() > 5


@pytest.mark.parametrize("policy", ["random", "still"])
def test_watch_other_policies(tmp_path, policy):
    out = tmp_path / "film.mp4"
    done = metarl(
        "watch", TOY, "--policy", policy, "--episodes", 1, "--out", out, "--no-live",
        "--split", "test", "--seed", 5,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "display" not in done.stdout
    assert out.exists()


def policy_file(path: Path, robot: int = 4, **changes: object) -> Path:
    policy = GaussianPolicy(robot + 2, 2, 2, torch.Generator().manual_seed(0), hidden=(8,))
    tensors = {f"policy.{name}": value for name, value in policy.state_dict().items()}
    meta = {
        "family": "toy/reach",
        "blocks": {"robot": robot, "task": 2},
        "action_dim": 2,
        "config": {"hidden": [8], "task_visible": True},
    }
    save_checkpoint(path, tensors, meta | changes)
    return path


def test_watch_a_checkpoint(tmp_path):
    saved = policy_file(tmp_path / "policy.safetensors")
    out = tmp_path / "film.mp4"
    done = metarl("watch", TOY, "--policy", saved, "--episodes", 1, "--out", out)
    assert done.returncode == 0, done.stderr
    assert out.exists()


@pytest.mark.parametrize(
    ("robot", "changes", "says"),
    [(3, {}, "toy/reach has"), (4, {"config": {}}, "no whole policy")],
)
def test_watch_refuses_a_foreign_checkpoint(tmp_path, robot, changes, says):
    saved = policy_file(tmp_path / "policy.safetensors", robot, **changes)
    done = metarl("watch", TOY, "--policy", saved, "--out", tmp_path / "film.mp4")
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


class FakeViewer:
    """Stands in for MuJoCo's window, which needs a screen."""

    def __init__(self, model, data, **_):
        self.data, self.seen = data, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def lock(self):
        return self

    def is_running(self):  # its user closes it after five frames
        return len(self.seen) < 5

    def sync(self):
        self.seen.append(self.data.qpos.copy())


def test_live_window_follows_the_world(tmp_path, monkeypatch, capsys):
    import mujoco.viewer

    viewers, loaded = [], []

    def launch(model, data, **_):
        assert loaded  # else the window's driver and triton's LLVM are mixed up: a crash
        viewers.append(FakeViewer(model, data))
        return viewers[-1]

    monkeypatch.setattr(watch_module, "load_triton_first", lambda: loaded.append(True))
    monkeypatch.setattr(watch_module, "has_display", lambda: True)
    monkeypatch.setattr(mujoco.viewer, "launch_passive", launch)
    out = str(tmp_path / "film.mp4")
    assert (
        cli.main(["watch", "toy/reach", "--policy", "expert", "--episodes", "2", "--out", out]) == 0
    )
    assert len(viewers) == 1  # closed by the user, so the second episode is not shown
    assert not np.array_equal(viewers[0].seen[0], viewers[0].seen[-1])


def test_a_window_looks_as_films_do():
    family = make_family("kitchen/add")
    worlds = Worlds(family, 1)
    worlds.reset()
    model, data = worlds.world()
    mujoco.mj_forward(model, data)
    view, film = mujoco.MjvCamera(), data.camera(family.film_camera)
    watch_module._look_as_in_films(view, film)
    scene = mujoco.MjvScene(model, maxgeom=1)
    mujoco.mjv_updateCamera(model, data, view, scene)
    place = np.mean([eye.pos for eye in scene.camera], axis=0)
    np.testing.assert_allclose(place, film.xpos, atol=1e-3)
    np.testing.assert_allclose(scene.camera[0].forward, -film.xmat.reshape(3, 3)[:, 2], atol=1e-3)


def test_no_window_is_one_line(tmp_path, monkeypatch, capsys):
    import mujoco.viewer

    def launch(model, data, **_):
        raise RuntimeError("no screen\nhere")

    monkeypatch.setattr(watch_module, "has_display", lambda: True)
    monkeypatch.setattr(mujoco.viewer, "launch_passive", launch)
    out = tmp_path / "film.mp4"
    assert cli.main(["watch", "toy/reach", "--episodes", "1", "--out", str(out)]) == 0
    assert "no live window: no screen here\n" in capsys.readouterr().out
    assert out.exists()


# Checking and reporting -----------------------------------------------------------------


PLUGIN = """
import sys
sys.path.insert(0, {here!r})
import numpy as np
from metarl.registry import register
from toy import Reach, ReachTask

@register("plugin/good")
class Good(Reach):
    def sample(self, rng, n, split):
        low = {{"train": -0.2, "test": 0.1, "far": -0.05}}[split]
        return ReachTask(rng.uniform((low, -0.2), (low + 0.1, 0.2), size=2))

@register("plugin/bad")
class Bad(Good):
    def observe(self, worlds, task):
        return {{"robot": np.full((worlds.num_worlds, 4), np.nan)}}
"""


@pytest.mark.parametrize(("name", "status"), [("plugin/good", 0), ("plugin/bad", 1)])
def test_check_prints_a_row_per_check(tmp_path, name, status):
    (tmp_path / "plugin.py").write_text(PLUGIN.format(here=str(HERE)))
    done = metarl("check", f"plugin:{name}", cwd=tmp_path)
    assert done.returncode == status, done.stdout + done.stderr
    *rows, last = done.stdout.strip().splitlines()
    marks = [row.split()[0] for row in rows]
    assert len(rows) > 10
    assert set(marks) == ({"pass"} if status == 0 else {"pass", "FAIL"})
    assert (
        last == f"plugin:{name}: {marks.count('pass')} checks passed, {marks.count('FAIL')} failed"
    )


def test_report_is_written_into_the_run(tmp_path):
    (tmp_path / "config.json").write_text('{"family": "toy/reach", "seed": 3}')
    done = metarl("report", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "toy/reach" in (tmp_path / "report.html").read_text()
    assert str(tmp_path / "report.html") in done.stdout


# Training and adapting ----------------------------------------------------------------


def test_help_names_every_method():
    shown = metarl("train", "--help").stdout
    assert [name for name in method_names() if name not in shown] == []


@pytest.mark.parametrize(("device", "says"), [("gpu", "expected cpu"), ("cuda:99", "GPUs here")])
def test_a_device_that_is_not_there_is_one_line(tmp_path, device, says):
    done = metarl("train", TOY, "--method", "ppo", "--device", device, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_only_the_same_run_goes_on(tmp_path, capsys):
    small = ["--iterations", "1", "--out", str(tmp_path), "--set", "num_tasks=2", "episodes=2"]
    assert cli.main(["train", "toy/reach", "--method", "maml", *small]) == 0
    assert cli.main(["train", "toy/reach", "--method", "reptile", "--resume", *small]) == 2
    assert "is a run of maml on toy/reach, not of reptile" in capsys.readouterr().err


def test_a_run_goes_on_to_its_own_end_or_to_a_later_one(tmp_path, capsys):
    go_on = ["train", "toy/reach", "--method", "maml", "--out", str(tmp_path / "run"), "--resume"]
    tiny = ["--set", "num_tasks=2", "episodes=2"]
    assert cli.main([*go_on, "--iterations", "1", *tiny]) == 0
    assert f"no run in {tmp_path / 'run'} to go on with; starting one" in capsys.readouterr().out
    assert cli.main([*go_on, *tiny]) == 0
    assert [row["step"] for row in read_metrics(tmp_path / "run")] == [1]
    assert cli.main([*go_on, "--iterations", "2", *tiny]) == 0
    assert [row["step"] for row in read_metrics(tmp_path / "run")] == [1, 2]


def test_a_demo_that_cannot_write_says_so(tmp_path, capsys):
    taken = tmp_path / "file"
    taken.write_text("")
    assert cli.main(["demo", "--out", str(taken)]) == 2
    assert f"cannot write to {taken}" in capsys.readouterr().err


def test_train_takes_the_fields_of_a_config_and_adapt_what_it_wrote(tmp_path):
    tiny = ("--set", "num_tasks=2", "episodes=2", "inner_updates=1", "hidden=[8]")
    done = metarl("train", TOY, "--iterations", "1", "--out", tmp_path / "run", *tiny)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["num_tasks"], config["hidden"]) == (2, [8])
    options = ("--updates", "2", "--episodes", "2", "--num-tasks", "2")
    film = tmp_path / "film.mp4"
    done = metarl("adapt", tmp_path / "run", TOY, *options, "--film", film)
    assert done.returncode == 0, done.stderr
    assert f"wrote {film}" in done.stdout
    assert film.stat().st_size > 0
    assert done.stdout.startswith("maml on toy/reach: mean of ")
    assert re.search(r"^success \[%\] +\d+ \[\d+, \d+\]", done.stdout, re.MULTILINE)
    assert re.search(r"^after update +0 +1 +2$", done.stdout, re.MULTILINE)


def test_default_folder_has_no_slashes():
    assert default_folder("my_module:kitchen/season", "maml", 2) == Path(
        "runs/kitchen-season-maml-s2"
    )
    assert default_folder("kitchen/add@robot=my arms/a.xml,control=joint", "ppo", 0) == Path(
        "runs/kitchen-add-robot-my-arms-a.xml-control-joint-ppo-s0"
    )


def test_robots_are_listed():
    done = metarl("families", "--robots")
    assert done.returncode == 0, done.stderr
    assert {"gantry", "panda", "ur5e"} <= {
        line.split()[0] for line in done.stdout.splitlines() if line.strip()
    }


def test_a_dish_may_be_named(tmp_path):
    done = metarl("watch", "kitchen/season", "--dish", "soup", "--out", tmp_path / "film.mp4")
    assert done.returncode == 2
    assert "unknown option of kitchen/season 'dish'" in done.stderr
    done = metarl("watch", "kitchen/dishes", "--dish", "soup", "--out", tmp_path / "film.mp4")
    assert done.returncode == 2
    assert "tomato-egg-soup" in done.stderr


def test_empty_run_folder_holds_no_policy(tmp_path):
    from metarl.runs.policies import read_checkpoint

    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        read_checkpoint(tmp_path)
