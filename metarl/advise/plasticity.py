"""How hard will it be to unlearn? What a policy's actions and units look like where it must learn."""

from __future__ import annotations

import numpy as np
import torch

from metarl.nn.policy import GaussianPolicy

SATURATED = 0.95  # of a unit's size, which tanh holds below 1


@torch.no_grad()
def plasticity(policy: GaussianPolicy, states: np.ndarray) -> dict[str, float]:
    """Describe a policy's actions and features in some states.

    Args:
        policy: The policy.
        states: Shape (M, D).
    Returns:
        By name:

        - ``action_size``: mean size of mean actions.
        - ``actions_cut``: share of them beyond [-1, 1], where they are cut and no gradient says so.
        - ``action_depends``: standard deviation of mean actions over states, a mean over actions.
        - ``units_saturated``: share of the trunk's last units at more than `SATURATED`, whose
          gradients vanish.
        - ``feature_directions``: in how many directions features vary, (sum s^2)^2 / sum s^4 of
          their singular values s.
    Source: Lyle et al. 2023, "Understanding plasticity in neural networks" (arXiv:2303.01486), and
        Sokar et al. 2023, "The dormant neuron phenomenon" (arXiv:2302.12902): networks that were
        trained lose what lets them learn on.
    """
    seen = torch.from_numpy(states.astype(np.float32))
    mean, _ = policy(seen)
    features = policy.forward_features(seen)
    centred = features.double().numpy()
    spread = np.linalg.svd(centred - centred.mean(axis=0), compute_uv=False) ** 2
    square = float((spread**2).sum())
    return {
        "action_size": float(mean.abs().mean()),
        "actions_cut": float((mean.abs() > 1.0).float().mean()),
        "action_depends": float(mean.std(dim=0, correction=0).mean()),
        "units_saturated": float((features.abs() > SATURATED).float().mean()),
        "feature_directions": float(spread.sum()) ** 2 / square if square > 0 else 0.0,
    }
