"""From marketing to sales: handoff, assignment, promises, outcomes, the day's mail."""
