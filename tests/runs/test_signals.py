"""Signals: the first one saves and leaves, the second one does not wait."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from metarl.runs.run import latest_checkpoint, on_signals

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
        assert child.wait(timeout=20) == code
    step, loaded = latest_checkpoint(tmp_path)
    assert loaded.meta == {"step": step}


def test_the_second_interrupt_is_immediate_and_handlers_come_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with on_signals() as signals:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert signals.stop == signal.SIGTERM
    with on_signals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.stop == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_signals_outside_the_main_thread_are_left_alone():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with on_signals() as signals:
            seen.append((signals.stop, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, before)]
