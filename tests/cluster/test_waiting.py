"""What may wait for ever is given up."""

from __future__ import annotations

import time

import pytest

from metarl.cluster.waiting import within
from metarl.errors import ConfigError


def test_what_waits_for_ever_is_given_up_and_what_goes_wrong_comes_through():
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"Ray did not answer within 0\.2 s"):
        within(0.2, lambda: time.sleep(30.0))
    assert time.monotonic() - began < 5.0
    assert within(5.0, lambda x: x + 1, x=1) == 2
    with pytest.raises(KeyError, match="lost"):
        within(5.0, lambda: {}["lost"])
