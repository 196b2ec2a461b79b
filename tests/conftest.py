"""What every test needs: the toy family, and threads that leave the other workers room."""

from __future__ import annotations

from metarl.rounding import same_bits

same_bits()  # before anything loads NumPy: tests compare this process with others, to the bit

import pytest  # noqa: E402
import torch  # noqa: E402
import toy  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture
def reach() -> toy.Reach:
    """A family of a ball in a plane that is cheap to step."""
    return toy.Reach()
