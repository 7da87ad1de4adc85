"""The search attributes by which operators find runs in the Temporal UI."""

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

JOURNEY = SearchAttributeKey.for_keyword("WaymarkJourney")
VERSION = SearchAttributeKey.for_int("WaymarkVersion")
STEP = SearchAttributeKey.for_keyword("WaymarkStep")
STATUS = SearchAttributeKey.for_keyword("WaymarkStatus")
ENROLMENT = SearchAttributeKey.for_keyword("WaymarkEnrolment")
TASK = SearchAttributeKey.for_keyword("WaymarkTask")

KINDS = {"WaymarkJourney": "Keyword", "WaymarkVersion": "Int", "WaymarkStep": "Keyword",
         "WaymarkStatus": "Keyword", "WaymarkEnrolment": "Keyword", "WaymarkTask": "Keyword"}  # fmt: skip
"""Name and type of each, for registering them with a server."""


def at_start(journey: str, version: int, enrolment: int) -> TypedSearchAttributes:
    """The attributes of a run that is about to start."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(JOURNEY, journey),
            SearchAttributePair(VERSION, version),
            SearchAttributePair(STEP, "entry"),
            SearchAttributePair(STATUS, "starting"),
            SearchAttributePair(ENROLMENT, str(enrolment)),
        ]
    )


def of_task(task: int) -> TypedSearchAttributes:
    """The attributes of the workflow of a task of sales."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(TASK, str(task)),
            SearchAttributePair(STEP, "assign"),
            SearchAttributePair(STATUS, "open"),
        ]
    )
