"""The ways to reach a customer, each behind the one Channel protocol."""
