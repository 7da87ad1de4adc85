"""The Temporal development server of one machine: finding or building its binary, and running it."""
