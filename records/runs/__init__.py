"""Journeys as they are run: versions, enrolments, what holds them, what they were told."""
