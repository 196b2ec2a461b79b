"""What every test needs: the toy family, threads that leave the other workers room, and signals that a
shell may have switched off (nohup, or & in a script) and that processes under test would never see."""

from __future__ import annotations

from metarl.rounding import same_bits

same_bits()  # before anything loads NumPy: tests compare this process with others, to the bit

import signal  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402
import toy  # noqa: E402

torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def reach() -> toy.Reach:
    """A family of a ball in a plane that is cheap to step."""
    return toy.Reach()
