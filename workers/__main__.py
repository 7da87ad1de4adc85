"""`python -m workers` is `waymark`."""

from workers.command import main

main()
