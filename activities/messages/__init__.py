"""From templates and calls to what leaves."""
