"""What a run does next: one turn, in one transaction."""
