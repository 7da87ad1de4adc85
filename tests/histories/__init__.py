"""Recorded runs of every released shape of `CustomerJourney`, replayed in every test run."""
