"""What leaves, what becomes of it, and what comes back."""
