"""The maps of files, for all who take some."""

from pathlib import Path

from activities.checking import Checker
from activities.messages.rendering import Templates
from activities.publishing import load_all, load_files
from journeys.fields import load_fields
from journeys.loading import LoadedJourney
from journeys.source import InvalidFile
from workers.settings import Settings


def load_maps(of: Settings, files: list[Path] | None) -> list[LoadedJourney]:
    """The maps in these files, or all of the folder. Raises InvalidFile with all problems."""
    fields = load_fields(of.definitions / "fields.yaml")
    return load_files(files, fields) if files else load_all(of.definitions / "journeys", fields)


def checked(of: Settings, files: list[Path] | None) -> list[LoadedJourney]:
    """The maps, looked at with all that they use. Raises InvalidFile with everything that refuses publishing."""
    found = load_maps(of, files)
    problems = [one.problem for one in checker(of).check(found) if one.severity == "error"]
    if problems:
        raise InvalidFile(problems)
    return found


def checker(of: Settings) -> Checker:
    """What looks at maps with the messages and fields of these settings."""
    templates = Templates(of.templates, of.workspace_locale)
    return Checker(of.definitions, templates, load_fields(of.definitions / "fields.yaml"))
