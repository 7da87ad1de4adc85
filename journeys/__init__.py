"""The journey map: definition, conditions, timing, interpreter and the workflow that walks it. Pure, no I/O."""
