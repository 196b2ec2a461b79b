"""Meta-SGD: the initial parameters, and a rate for each of their elements, from one update.

Source: Li et al. 2017, arXiv:1707.09835, algorithm 2.
Deviation: The outer step is Adam's on a clipped surrogate.
"""

from metarl.meta.maml.config import BACKENDS, MamlConfig
from metarl.meta.maml.maml import MamlTrainer, by_inner_loop
from metarl.methods import Adapting, Method, Training

METHOD = Method(
    "Meta-SGD: second order, one update, a learned rate for each parameter's element",
    Training(
        MamlConfig,
        MamlTrainer,
        {
            "inner_updates": 1,
            "learn_rates": True,
            "context_rate": 1.2,
            "first_order": False,
            "multi_step": False,
            "outer_epochs": 3,
        },
        variants={"backend": BACKENDS},
        splits=True,
    ),
    Adapting(by_inner_loop),
    "Li et al. 2017, arXiv:1707.09835",
)
