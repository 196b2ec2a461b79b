"""MAML and its kin: learning by an inner gradient step."""
