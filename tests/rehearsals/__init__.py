"""The shipped journeys, each rehearsed on the real engine: who gets what, at which moment, and how it ends."""
