"""`metarl watch`: films, policies, the live window."""

from __future__ import annotations

import imageio.v3 as iio
import mujoco
import numpy as np
import pytest
from console import TOY, here, metarl, policy_file

from metarl import cli
from metarl.commands import live as live_module
from metarl.commands import watch as watch_module
from metarl.registry import make_family
from metarl.sim.worlds import Worlds


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
    done = here(
        "watch", "toy:toy/short", "--policy", policy, "--episodes", 1, "--out", out, "--no-live",
        "--split", "test", "--seed", 5,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "display" not in done.stdout
    assert out.exists()


def test_watch_a_checkpoint(tmp_path):
    saved = policy_file(tmp_path / "policy.safetensors")
    out = tmp_path / "film.mp4"
    done = here("watch", "toy:toy/short", "--policy", saved, "--episodes", 1, "--out", out)
    assert done.returncode == 0, done.stderr
    assert out.exists()


@pytest.mark.parametrize(
    ("robot", "changes", "says"),
    [(3, {}, "toy/reach has"), (4, {"config": {}}, "no whole policy")],
)
def test_watch_refuses_a_foreign_checkpoint(tmp_path, robot, changes, says):
    saved = policy_file(tmp_path / "policy.safetensors", robot, **changes)
    done = here("watch", TOY, "--policy", saved, "--out", tmp_path / "film.mp4")
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

    monkeypatch.setattr(live_module, "load_triton_first", lambda: loaded.append(True))
    monkeypatch.setattr(watch_module, "display_answers", lambda: True)
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
    live_module._look_as_in_films(view, film)
    scene = mujoco.MjvScene(model, maxgeom=1)
    mujoco.mjv_updateCamera(model, data, view, scene)
    place = np.mean([eye.pos for eye in scene.camera], axis=0)
    np.testing.assert_allclose(place, film.xpos, atol=1e-3)
    np.testing.assert_allclose(scene.camera[0].forward, -film.xmat.reshape(3, 3)[:, 2], atol=1e-3)


def test_no_window_is_one_line(tmp_path, monkeypatch, capsys):
    import mujoco.viewer

    def launch(model, data, **_):
        raise RuntimeError("no screen\nhere")

    monkeypatch.setattr(watch_module, "display_answers", lambda: True)
    monkeypatch.setattr(mujoco.viewer, "launch_passive", launch)
    out = tmp_path / "film.mp4"
    assert cli.main(["watch", "toy/short", "--episodes", "1", "--out", str(out)]) == 0
    assert "no live window: no screen here\n" in capsys.readouterr().out
    assert out.exists()


def test_a_dish_may_be_named(tmp_path):
    done = here("watch", "kitchen/season", "--dish", "soup", "--out", tmp_path / "film.mp4")
    assert done.returncode == 2
    assert "unknown option of kitchen/season 'dish'" in done.stderr
    done = here("watch", "kitchen/dishes", "--dish", "soup", "--out", tmp_path / "film.mp4")
    assert done.returncode == 2
    assert "tomato-egg-soup" in done.stderr
