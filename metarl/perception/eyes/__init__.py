"""Eyes: a camera in place of what a policy was told of the things around it."""
