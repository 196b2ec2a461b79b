"""Signals: the first one saves and leaves, the second one does not wait."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from metarl.runs.metrics import read_metrics
from metarl.runs.run import latest_checkpoint, on_signals
from metarl.runs.signals import Interrupted

HERE = Path(__file__).parents[1]  # toy.py is there

TRAIN = """
import sys, time
from dataclasses import dataclass
from metarl.runs.run import Run, Stopped, on_signals

@dataclass(frozen=True)
class Config:
    seed: int = 0

with Run.create(sys.argv[1], Config(), tensorboard=False) as run, on_signals() as signals:
    print("ready", flush=True)
    step = 0
    while True:
        step += 1
        time.sleep(0.01)
        if signals.stop:
            run.save(step, {}, {"step": step})
            raise Stopped(signals.stop)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_leaves_with_its_code(tmp_path, number, code):
    child = subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        assert child.wait(timeout=60) == code
    step, loaded = latest_checkpoint(tmp_path)
    assert loaded.meta == {"step": step}


def test_handlers_come_back_and_only_work_that_may_be_is_interrupted():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with on_signals() as signals:
            signal.raise_signal(number)
            assert signals.stop == number
        with on_signals() as signals, pytest.raises(Interrupted), signals.interrupting():
            signal.raise_signal(number)
        assert signals.stop == number
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert after == before


STUBBORN = """
import signal, time
from metarl.runs.run import on_signals

with on_signals() as signals:
    while True:
        try:
            with signals.interrupting():
                print("ready", flush=True)
                time.sleep(60)
        except BaseException:
            print("caught", flush=True)
"""


def test_the_second_signal_leaves_at_once_whatever_catches_the_first():
    child = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGTERM)
        assert child.stdout.readline() == "caught\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=5) == 130


LONG = """
import sys, time
from pathlib import Path
from toy import Reach
from metarl.learn.loop import train
from metarl.meta.maml.config import MamlConfig
from metarl.meta.maml.maml import MamlTrainer

class Sleepy(Reach):
    def terms(self, worlds, task, action):
        if Path(sys.argv[2]).exists():
            print("asleep", flush=True)
            time.sleep(3600)
        return super().terms(worlds, task, action)

config = MamlConfig(num_tasks=2, episodes=2, inner_updates=1, iterations=10**6)
trainer = MamlTrainer(Sleepy(), config, num_threads=1)
iterate = trainer.iterate
def told():
    metrics = iterate()
    print("iterated", flush=True)
    return metrics
trainer.iterate = told
train(trainer, Path(sys.argv[1]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_long_iteration_is_given_up_and_what_was_before_it_is_saved(tmp_path, number, code):
    run, sleep = tmp_path / "run", tmp_path / "sleep"
    words = [sys.executable, "-c", LONG, str(run), str(sleep)]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=HERE)
    with child:
        for _ in range(3):
            assert child.stdout.readline() == "iterated\n"
        sleep.touch()
        while child.stdout.readline() != "asleep\n":
            pass
        start_s = time.monotonic()
        child.send_signal(number)
        assert child.wait(timeout=60) == code
        assert time.monotonic() - start_s < 30  # 5 s, and room for a crowded machine
    step, loaded = latest_checkpoint(run)
    assert step >= 3
    assert loaded.meta["iteration"] == step
    assert [row["step"] for row in read_metrics(run)] == list(range(1, step + 1))


def test_signals_outside_the_main_thread_are_left_alone():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with on_signals() as signals:
            seen.append((signals.stop, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, before)]
