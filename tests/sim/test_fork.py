"""Worlds in a forked process: they go on, or say what to do; nothing hangs."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

BEGIN = """
import copy, os, pickle, sys, threading
import numpy as np
from metarl.interop import FamilyEnv, FamilyVectorEnv
from metarl.errors import MetaRLError

def forked(do):
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    try:
        print("child", do())
    except MetaRLError as error:
        print("child", type(error).__name__, error)
    sys.exit(0)  # as a child of multiprocessing's does not: everything is torn down

"""


def output(script: str) -> str:
    """What a script prints; it has half a minute."""
    whole = BEGIN + textwrap.dedent(script)
    process = subprocess.Popen(
        [sys.executable, "-c", whole], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail("it hangs")
    assert process.returncode == 0, said
    return said


@pytest.mark.parametrize("name", ["classic/point-navigation", "kitchen/skills"])
def test_worlds_with_threads_say_so(name):
    said = output(f"""
    env = FamilyVectorEnv({name!r}, 6, num_threads=2, seed=0)
    env.reset()
    action = np.zeros(env.action_space.shape, np.float32)
    env.step(action)
    for do in (lambda: env.step(action), env.reset, lambda: env.worlds.expert().shape):
        assert forked(do) == 0
    assert forked(lambda: copy.deepcopy(env).step(action)[0].tobytes()[:0] == b"") == 0
    env.step(action)
    print("parent goes on")
    """)
    assert said.count("child SimulationError these worlds were made before") >= 2
    assert "copy.deepcopy(env)" in said
    assert "child True" in said
    assert said.endswith("parent goes on\n")


def test_worlds_on_one_thread_and_copies_go_on():
    said = output("""
    one = FamilyEnv("classic/cheetah-velocity", seed=0)
    many = FamilyVectorEnv("classic/cheetah-velocity", 20, num_threads=2, seed=0)
    one.reset(), many.reset()
    action = np.full((20, 6), 0.3, np.float32)
    for _ in range(40):
        one.step(action[0]), many.step(action)
    read, write = os.pipe()
    def child():
        twin = copy.deepcopy(many)
        os.write(write, one.step(action[0])[0].tobytes() + twin.step(action)[0].tobytes())
    assert forked(child) == 0
    there = os.read(read, 10**6)
    print(there == one.step(action[0])[0].tobytes() + many.step(action)[0].tobytes())
    """)
    assert said.endswith("True\n")
