"""The steps that bring a database to the tables of this release, oldest first; run by `records.migration`."""
