"""ANIL: almost no inner loop; the head alone adapts.

The trunk, the task context and the actions' standard deviation learn in the outer loop alone:
they are what every task starts from, and stay what they are within one.

Source: Raghu et al. 2020, arXiv:1909.09157, section 4.
Deviation: The outer step is Adam's on a clipped surrogate.
"""

from metarl.meta.maml.config import BACKENDS, MamlConfig
from metarl.meta.maml.maml import MamlTrainer, by_inner_loop
from metarl.methods import Adapting, Method, Training

METHOD = Method(
    "ANIL: MAML whose inner loop changes the head alone",
    Training(
        MamlConfig,
        MamlTrainer,
        {
            "adapts": "head",
            "inner_rate": 0.1,
            "context_rate": None,
            "first_order": False,
            "outer_epochs": 3,
        },
        variants={"backend": BACKENDS},
        splits=True,
    ),
    Adapting(by_inner_loop),
    "Raghu et al. 2020, arXiv:1909.09157",
)
