"""Lists of contacts and events: files read, checked and written page by page."""
