"""A second interpreter, made once."""

import pytest
from second import make_interpreter


@pytest.fixture(scope="session")
def second(tmp_path_factory) -> str:
    """The path of a Python that has NumPy and Gymnasium, and nothing of metarl."""
    return make_interpreter(tmp_path_factory.mktemp("second") / "venv")
