"""The HTTP API, unsubscribe and tracking links, provider callbacks."""
