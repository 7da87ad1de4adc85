"""A worker of broadcasts that dies by SIGKILL at a random point of a page, again and again.

`python -m tests.faults.mortal_broadcaster ADDRESS NAMESPACE DATABASE SMTP FOLDER CHANCE SEED`

As `tests.faults.mortal_worker`, which says what the files in FOLDER do.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.common import RetryPolicy

from activities import pulse
from activities.broadcasts import broadcasting, pace
from activities.channels.bulk import BulkMail
from activities.channels.email import EmailChannel
from journeys import broadcasting as workflows
from journeys.sending import SendingRules
from records.database import create_engine
from records.messages import addressees, claims
from tests.faults.mortal_worker import Death, lives
from workers import worker
from workers.composition import compose
from workers.settings import Settings

POINTS = (
    "before the claims",
    "after the claims",
    "before a bundle",
    "in a bundle",
    "after a bundle",
    "after its record",
)


def beset(death: Death) -> None:
    """Let death wait at every point of a page."""

    def around(function: Callable[..., Any], before: str | None, after: str | None) -> Callable[..., Any]:
        async def mortal(*arguments: Any, **named: Any) -> Any:
            if before is not None:
                death.passing(before)
            result = await function(*arguments, **named)
            if after is not None:
                death.passing(after)
            return result

        return mortal

    addressees.page = around(addressees.page, None, "before the claims")
    claims.settle = around(claims.settle, None, "after its record")
    moved = broadcasting.Broadcasting._send
    broadcasting.Broadcasting._send = around(moved, "after the claims", None)  # type: ignore[method-assign]
    handed = BulkMail.send

    async def mortal_send(self: BulkMail, letters: Any) -> Any:
        death.passing("before a bundle")
        half = len(letters) // 2
        outcomes = await handed(self, letters[:half])
        death.passing("in a bundle")
        outcomes += await handed(self, letters[half:])
        death.passing("after a bundle")
        return outcomes

    BulkMail.send = mortal_send  # type: ignore[method-assign]


async def live(address: str, namespace: str, database: str, smtp: str, death: Death) -> None:
    """One worker's life."""
    pace.PAGE, pace.BUNDLE = 40, 8
    # A dead worker is missed, and its work done again, in seconds instead of minutes.
    pulse.BEAT = 0.3
    workflows.HEARTBEAT = timedelta(seconds=1.5)
    workflows.PATIENT = RetryPolicy(initial_interval=timedelta(seconds=0.2), maximum_interval=timedelta(seconds=0.2))
    beset(death)
    settings = Settings(home=death.folder, secret="a secret for tests only")
    channel = EmailChannel(smtp, settings.mail_from)
    engine = create_engine(database, pool_size=5)
    client = await Client.connect(address, namespace=namespace)
    async with (
        compose(settings, engine=engine, client=client, channels={"email": channel}, rules=SendingRules()) as parts,
        worker.working(parts, sticky_queue_schedule_to_start_timeout=timedelta(seconds=1)),
    ):
        while not (death.folder / "stop").exists():
            await asyncio.sleep(0.05)


def main(address: str, namespace: str, database: str, smtp: str, folder: str, chance: str, seed: str) -> None:
    def one(life: int) -> Coroutine[Any, Any, None]:
        death = Death(Path(folder), float(chance), int(seed) * 100_003 + life)
        return live(address, namespace, database, smtp, death)

    lives(Path(folder), one)


if __name__ == "__main__":
    main(*sys.argv[1:])
