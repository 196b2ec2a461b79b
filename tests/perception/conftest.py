"""Pictures of the kitchen, and classifiers of them."""

from importlib.resources import files
from pathlib import Path

import pytest
import torch

from metarl.perception import headswap
from metarl.perception.headswap import train_classifier
from metarl.perception.pictures import draw_pictures, get_scene

KITCHEN = "metarl_kitchen.ingredients:kitchen/ingredients"


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def scene():
    return get_scene(KITCHEN)


@pytest.fixture(scope="package")
def drawn(scene):
    return draw_pictures(scene, 48, seed=0)


@pytest.fixture(scope="package")
def trained():
    return train_classifier(KITCHEN, seed=0, num_pictures=600, num_held_out=120, epochs=6)


@pytest.fixture(scope="package")
def shipped():
    folder = files("metarl_kitchen") / "checkpoints"
    return headswap.load_classifier(Path(str(folder / "ingredients.safetensors")))
