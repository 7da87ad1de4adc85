"""The content that Waymark ships: starter definitions, templates, the sample of the demo, recorded histories."""

from pathlib import Path

from journeys.errors import WaymarkError

FOLDERS = ("definitions", "templates", "samples")


def shipped(name: str) -> Path:
    """Where a shipped folder is: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).parent
    for folder in (here / "starter" / name, here.parent / name, here.parent / "tests" / name):
        if folder.is_dir():
            return folder
    raise WaymarkError(f"The shipped folder {name} is missing.", hint="Install Waymark again.")
