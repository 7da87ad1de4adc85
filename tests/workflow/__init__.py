"""Runs on a real Temporal server whose clock can be moved, against real PostgreSQL and real SMTP."""
