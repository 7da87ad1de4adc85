"""Catchers of local work: a mail relay and an SMS provider that show messages on a page instead of delivering them."""
