"""Tests: unit, workflow, integration, end to end, browser; names read as a specification."""
