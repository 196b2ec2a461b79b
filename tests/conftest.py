"""What every test needs: the toy family, and threads that leave the other workers room."""

from __future__ import annotations

import pytest
import torch
import toy

torch.set_num_threads(1)


@pytest.fixture
def reach() -> toy.Reach:
    """A family of a ball in a plane that is cheap to step."""
    return toy.Reach()
