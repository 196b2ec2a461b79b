"""What meets new tasks, and how that is measured."""
