"""Two records of one person: proposed, joined, parted."""
