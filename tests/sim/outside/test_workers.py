"""Workers that die, hang, talk nonsense or print: noticed, started again, and nobody else is touched."""

import ast
import gc
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from outsiders import FILE, CartFamily, CartTask

from metarl.errors import ConfigError, FamilyError, SimulationError
from metarl.sim.kinds import make_worlds
from metarl.sim.outside import OutsideFamily, process
from metarl.sim.outside.benches import MOST_RESTARTS

SOON_S = 1.5  # in place of the 10 s that a worker may be silent


class Soon(CartFamily):
    """Carts whose workers are soon given up."""

    patience_s = SOON_S


def worlds_of(second, num_worlds=4, num_threads=2, family=Soon, **settings):
    made = family()
    made.environment, made.interpreter, made.settings = f"{FILE}:Cart", second, settings
    return make_worlds(made, num_worlds, num_threads=num_threads)


def goals(*x):
    return CartTask(np.array([[each, 0.1] for each in x]))


def running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as told:
            return told.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int, within_s: float = 5.0) -> bool:
    end_s = time.monotonic() + within_s
    while running(pid) and time.monotonic() < end_s:
        time.sleep(0.02)
    return not running(pid)


def test_a_worker_is_noticed_within_ten_seconds():
    assert OutsideFamily.patience_s <= 10.0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_is_killed_or_stopped_loses_its_own_episodes_alone(how, second, caplog):
    worlds, twin = worlds_of(second), worlds_of("")
    for each in (worlds, twin):
        each.assign(goals(0.3, 0.4, -0.3, -0.4))
        each.reset()
        each.step(np.full((4, 2), 0.2))
    first, other = worlds.benches.pids
    os.kill(first, how)
    start_s = time.monotonic()
    step, calm = worlds.step(np.full((4, 2), 0.2)), twin.step(np.full((4, 2), 0.2))
    assert time.monotonic() - start_s < SOON_S + 3.0
    assert step.diverged.tolist() == step.truncated.tolist() == [True, True, False, False]
    assert worlds.num_diverged == 2
    assert (step.reward[:2] == 0.0).all()
    assert (step.obs[2:] == calm.obs[2:]).all()
    assert (step.reward[2:] == calm.reward[2:]).all()
    assert gone(first)
    assert worlds.benches.pids[0] != first
    assert worlds.benches.pids[1] == other
    why = (
        "was ended by SIGKILL"
        if how == signal.SIGKILL
        else f"gave no sign of life for {SOON_S:g} s"
    )
    assert f"the worker of worlds 0 to 1 was lost: process {first} {why}" in caplog.text
    assert "started again (1 of at most 3 times), and its episodes begin anew" in caplog.text
    worlds.reset(worlds.done)
    for _ in range(5):  # with their tasks
        step = worlds.step(np.zeros((4, 2)))
    away = np.linalg.norm(step.obs[:, :2] - worlds.task.goal_m, axis=1)
    assert np.allclose(step.reward, -away, atol=1e-5)


@pytest.mark.parametrize(
    ("fault", "why"),
    [("die", "left with status 7; it printed last: I die"), ("segfault", "was ended by SIGSEGV"),
     ("hang", "gave no sign of life for 1.5 s, which is the limit")],
)  # fmt: skip
def test_an_environment_that_takes_its_process_along(fault, why, second, caplog, tmp_path):
    worlds = worlds_of(second, fault=fault, above=0.0, once=str(tmp_path / "once"))
    worlds.assign(goals(-0.3, -0.3, -0.3, 0.3))
    worlds.reset()
    lost = []
    for _ in range(8):
        lost += np.flatnonzero(worlds.step(np.zeros((4, 2))).diverged).tolist()
        if worlds.done.any():
            worlds.reset(worlds.done)
    assert lost == [2, 3]
    assert why in caplog.text


def test_one_that_always_dies_is_given_up(second):
    worlds = worlds_of(second, fault="die", above=0.0)
    worlds.assign(goals(-0.3, -0.3, -0.3, 0.3))
    worlds.reset()

    def play():
        for _ in range(100):
            worlds.step(np.zeros((4, 2)))
            if worlds.done.any():
                worlds.reset(worlds.done)

    with pytest.raises(
        SimulationError, match=r"worker of worlds 2 to 3 was lost 4 times: .*status 7"
    ):
        play()
    assert worlds.benches._restarts == [0, MOST_RESTARTS]


def test_a_worker_lost_at_a_reset_begins_the_episodes_that_were_asked_for(second):
    worlds, twin = worlds_of(second), worlds_of("")
    for each in (worlds, twin):
        each.assign(goals(0.3, 0.4, -0.3, -0.4))
        each.reset()
        each.step(np.zeros((4, 2)))
    os.kill(worlds.benches.pids[0], signal.SIGKILL)
    assert gone(worlds.benches.pids[0])
    ids = np.array([0, 2])
    for each in (worlds, twin):
        each.done[ids] = True
    assert (worlds.reset(ids)[ids] == twin.reset(ids)[ids]).all()
    step, calm = worlds.step(np.zeros((4, 2))), twin.step(np.zeros((4, 2)))
    assert step.diverged.tolist() == [False, True, False, False]  # nobody asked for a start of 1
    assert (step.obs[[0, 2, 3]] == calm.obs[[0, 2, 3]]).all()


def test_a_worker_lost_at_new_tasks_gets_them(second):
    worlds = worlds_of(second)
    worlds.reset()
    os.kill(worlds.benches.pids[1], signal.SIGKILL)
    assert gone(worlds.benches.pids[1])
    worlds.assign(goals(0.3, 0.4, -0.3, -0.4))
    worlds.reset()
    step = worlds.step(np.zeros((4, 2)))
    away = np.linalg.norm(step.obs[:, :2] - worlds.task.goal_m, axis=1)
    assert np.allclose(step.reward, -away, atol=1e-5)


def test_a_worker_lost_over_a_picture_is_told(second):
    worlds = worlds_of(second)
    worlds.reset()
    assert worlds.picture(3).shape == (60, 60, 3)
    os.kill(worlds.benches.pids[1], signal.SIGKILL)
    with pytest.raises(SimulationError, match="the worker of world 3 was lost while it drew"):
        worlds.picture(3)
    worlds.reset()
    assert worlds.picture(3).shape == (60, 60, 3)


def test_what_environments_print_harms_nobody(second):
    worlds, twin = worlds_of(second, fault="print"), worlds_of("")
    worlds.reset(), twin.reset()
    for _ in range(6):
        assert (worlds.step(np.zeros((4, 2))).obs == twin.step(np.zeros((4, 2))).obs).all()


def test_a_long_batch_is_not_taken_for_a_hang(second, tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text(
        f"import sys, time\nsys.path.insert(0, {str(FILE.parent)!r})\nfrom strangers import Cart\n"
        "class Slow(Cart):\n    def step(self, action):\n        time.sleep(0.4)\n"
        "        return super().step(action)\n"
    )
    made = Soon()
    made.environment, made.interpreter = f"{slow}:Slow", second
    worlds = make_worlds(made, 8, num_threads=1)
    worlds.reset()
    start_s = time.monotonic()
    step = worlds.step(np.zeros((8, 2)))
    assert time.monotonic() - start_s > 2.0 * SOON_S
    assert not step.diverged.any()


NO_PYTHON = {
    "/no/such/python": "cannot start the interpreter '/no/such/python': No such file or directory",
    "/etc/passwd": "cannot start the interpreter '/etc/passwd': Permission denied",
    "/tmp": "cannot start the interpreter '/tmp': Permission denied",
    "/bin/true": "environments do not start in the interpreter /bin/true: process .* left with status 0",
    "/bin/false": "environments do not start in the interpreter /bin/false: .* left with status 1",
    "/bin/cat": "environments do not start in the interpreter /bin/cat: .*",
    "bad\0name": "cannot start the interpreter",
}


@pytest.mark.parametrize("interpreter", NO_PYTHON)
def test_what_is_no_python_is_told(interpreter):
    with pytest.raises((ConfigError, SimulationError), match=NO_PYTHON[interpreter]):
        worlds_of(interpreter, 1)


def test_one_that_says_nothing_is_given_up(tmp_path, monkeypatch):
    mute = tmp_path / "mute"
    mute.write_text("#!/bin/sh\nexec sleep 100\n")
    mute.chmod(0o755)
    monkeypatch.setattr(process, "START_S", 0.7)
    with pytest.raises(
        SimulationError, match=r"no sign of life for 0\.7 s, which is the limit \(START_S\)"
    ):
        worlds_of(str(mute), 1)


def test_one_that_talks_nonsense_is_given_up(tmp_path):
    babble = tmp_path / "babble"
    babble.write_text("#!/bin/sh\nyes nonsense\n")
    babble.chmod(0o755)
    with pytest.raises(SimulationError, match="does not answer as it should"):
        worlds_of(str(babble), 1)


def test_an_interpreter_without_what_it_needs_is_told(second, tmp_path):
    made = Soon()
    made.environment, made.interpreter = f"{tmp_path / 'maker.py'}:make", second
    (tmp_path / "maker.py").write_text("import no_such_simulator\n")
    with pytest.raises(
        FamilyError, match=r"No module named 'no_such_simulator' .* in the interpreter"
    ):
        make_worlds(made, 1)


def test_ctrl_c_reaches_no_worker_and_ends_its_work(second, monkeypatch):
    worlds = worlds_of(second, fault="hang")
    worlds.reset()
    pids = worlds.benches.pids
    assert all(os.getpgid(pid) == pid for pid in pids)
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        for _ in range(2):
            worlds.step(np.zeros((4, 2)))
        with pytest.raises(KeyboardInterrupt):
            worlds.step(np.zeros((4, 2)))
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert all(gone(pid) for pid in pids)


SCRIPT = """
import os, sys, signal
sys.path.insert(0, {tests!r})
import numpy as np
from outsiders import CartFamily
from metarl.sim.kinds import make_worlds
family = CartFamily()
family.interpreter, family.settings = {second!r}, {settings!r}
worlds = make_worlds(family, 4, num_threads=2)
worlds.reset()
print(*worlds.benches.pids, flush=True)
"""


def script(second, rest, **settings):
    text = SCRIPT.format(tests=str(FILE.parent), second=second, settings=settings)
    return [sys.executable, "-c", text + textwrap.dedent(rest)]


@pytest.mark.parametrize("rest", ["", "os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_workers_leave_with_whoever_started_them(rest, second):
    done = subprocess.run(script(second, rest), capture_output=True, text=True, timeout=60)
    pids = list(map(int, done.stdout.split()))
    assert len(pids) == 2, done.stderr
    assert all(gone(pid) for pid in pids)
    assert "Traceback" not in done.stderr


def test_a_worker_in_the_midst_of_a_step_leaves_too(second):
    rest = "for _ in range(5): worlds.step(np.zeros((4, 2)))"
    other = subprocess.Popen(
        script(second, rest, fault="hang"), stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert other.stdout is not None
    pids = list(map(int, other.stdout.readline().split()))
    time.sleep(1.0)
    other.kill()
    other.wait(10)
    other.stdout.close()
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_a_forked_process_is_told_and_ends_nothing(second):
    rest = """
    from metarl.errors import MetaRLError
    pid = os.fork()
    if not pid:
        try:
            worlds.step(np.zeros((4, 2)))
        except MetaRLError as error:
            print(error, flush=True)
        sys.exit(0)
    os.waitpid(pid, 0)
    print(worlds.step(np.zeros((4, 2))).diverged.any())
    """
    done = subprocess.run(script(second, rest), capture_output=True, text=True, timeout=60)
    assert "made before this process was forked" in done.stdout
    assert done.stdout.split()[-1] == "False", done.stderr


def test_a_thousand_steps_keep_nothing_open(second):
    worlds = worlds_of(second)
    worlds.reset()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(1000):
        worlds.step(np.zeros((4, 2)))
        if worlds.done.any():
            worlds.reset(worlds.done)
    assert len(os.listdir("/proc/self/fd")) == before
    del worlds
    gc.collect()
    process.end_idle()
    assert len(os.listdir("/proc/self/fd")) < before


class Waiting:
    """What a worker is for whoever keeps it."""

    def __init__(self, place, alive=True):
        self.place, self.alive, self.ended = place, alive, False

    def end(self):
        self.ended = True


def test_no_more_workers_wait_than_there_are_cores(monkeypatch):
    monkeypatch.setattr(process, "_idle", {})
    monkeypatch.setattr(process, "num_cores", lambda: 2)
    first, again = Waiting("a"), Waiting("a")
    others = [Waiting(name) for name in "bc"]
    dead = Waiting("d", alive=False)
    process.give_back([first, again, dead], os.getpid())
    assert [each.ended for each in (first, again, dead)] == [False, False, True]
    process.give_back(others, os.getpid())  # of other families: the last that came stay
    assert [each.ended for each in (first, again, *others)] == [True, True, False, False]
    assert process.take("b") is others[0]
    process.give_back([others[0]], os.getpid())
    process.give_back([last := Waiting("e")], os.getpid())
    assert [each.ended for each in (*others, last)] == [False, True, False]


def test_it_is_said_once_that_episodes_cannot_go_on(second, caplog):
    worlds = worlds_of(second, fault="nan", at=1)
    worlds.reset()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            worlds.step(np.zeros((4, 2)))
            worlds.reset(worlds.done)
    assert caplog.text.count("cannot go on") == 1
    assert worlds.num_diverged == 12


def test_the_workers_file_is_for_older_interpreters_and_needs_numpy_alone():
    tree = ast.parse(Path(process.worker.__file__).read_text(), feature_version=(3, 8))
    imported = {
        name.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
    } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - set(sys.stdlib_module_names) == {"numpy"}
