"""The ways into journeys, and how runs hear of what happens."""
