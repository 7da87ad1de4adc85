"""The commands of `waymark`, one module a group."""
