"""What people do to runs from outside, and how a run explains itself."""
