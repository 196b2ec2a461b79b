"""Many tasks at once: one trunk that several families share."""
