"""What carries over from one task to another: a file a strategy."""
