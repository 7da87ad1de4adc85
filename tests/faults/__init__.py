"""Workers that are killed on purpose, and what the ledger says afterwards."""
