"""What is kept of a run, and of what it trained."""
