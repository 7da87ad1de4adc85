"""What only builds or checks, and is no part of the running program."""
