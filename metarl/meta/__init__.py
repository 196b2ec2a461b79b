"""Learning to adapt: inner loops, MAML and its kin."""
