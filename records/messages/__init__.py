"""What was sent to whom: the ledger, its touches, and messages to many."""
