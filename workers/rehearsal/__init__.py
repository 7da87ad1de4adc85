"""Rehearsals: journeys on the real engine, over invented days, with nothing leaving."""
