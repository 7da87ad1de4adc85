"""One module a revision. A released one is never edited: write the next."""
