"""Drawing in another thread or in a forked process: an error that says what to do, no hang."""

import threading

import numpy as np
import pytest

from metarl.errors import RenderError
from metarl.interop import FamilyEnv
from tests.sim.test_fork import output


def in_thread(do):
    """What something gives, or raises, in another thread."""
    found = []

    def run():
        try:
            found.append(do())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return found[0]


def test_another_thread_is_told_and_its_own_goes_on():
    env = FamilyEnv("classic/point-navigation", render_mode="rgb_array")
    env.reset()
    frame = env.render()
    error = in_thread(env.render)
    assert isinstance(error, RenderError)
    assert "another thread" in str(error)
    assert np.array_equal(env.render(), frame)
    assert in_thread(env.close) is None
    assert np.array_equal(env.render(), frame)  # a new context
    env.close()


def test_each_thread_may_have_an_environment_of_its_own():
    def drawn():
        env = FamilyEnv("classic/point-navigation", render_mode="rgb_array", seed=0)
        env.reset()
        frame = env.render()
        env.close()
        return frame

    assert np.array_equal(in_thread(drawn), drawn())


@pytest.mark.parametrize("drawn", [True, False])
def test_a_forked_process_is_told_or_draws(drawn):
    said = output(f"""
    env = FamilyEnv("classic/point-navigation", render_mode="rgb_array", seed=0)
    env.reset()
    if {drawn}:
        env.render()
    def draw(env):
        frame = env.render()
        env.close()
        return frame.shape
    new = FamilyEnv("classic/point-navigation", render_mode="rgb_array", seed=0)
    new.reset()
    assert forked(lambda: draw(env)) == 0
    assert forked(lambda: draw(new)) == 0
    assert forked(env.close) == 0
    print(env.render().shape)
    env.close()
    """)
    wanted = "child RenderError this process was forked" if drawn else "child (480, 640, 3)"
    assert said.count(wanted) == 2
    assert said.endswith("(480, 640, 3)\n")
