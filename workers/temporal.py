"""The way to the Temporal server, wherever it is."""

import asyncio
import logging
from typing import Any

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError

from journeys.errors import WaymarkError
from workers import running
from workers.settings import Settings

log = logging.getLogger(__name__)


class TemporalAwayError(WaymarkError):
    """No Temporal server answers. Start `waymark up`, or point TEMPORAL_ADDRESS at one that runs."""


def environment_config() -> dict[str, Any]:
    """What the SDK's environment configuration says: `TEMPORAL_*` variables, or its TOML file.

    Without `target_host` it names no server. Raises WaymarkError when it cannot be read.
    """
    try:
        return dict(ClientConfig.load_client_connect_config())
    except (RuntimeError, ValueError, OSError) as error:
        raise WaymarkError(
            f"The Temporal configuration cannot be read: {error}", hint="Check the TEMPORAL_* variables."
        ) from None


def namespace() -> str:
    """The namespace that all workflows live in."""
    return str(environment_config().get("namespace") or "default")


def server_is_given() -> bool:
    """Whether the environment names a Temporal server, so that none is started here."""
    return bool(environment_config().get("target_host"))


def config(settings: Settings) -> dict[str, Any]:
    """How to connect: the environment first, then the local stack that runs over the home folder.

    Raises TemporalAwayError when neither names a server.
    """
    given = environment_config()
    if given.get("target_host"):
        return given
    local = running.read(settings.home)
    if local is None or local.temporal_address is None:
        raise TemporalAwayError(
            "No Temporal server runs here.",
            hint="Start `waymark up` in another terminal, or name a server with TEMPORAL_ADDRESS.",
        )
    return {"target_host": local.temporal_address, "namespace": namespace()}


async def connect(settings: Settings, *, patient: bool = False) -> Client:
    """A client of the configured server.

    A `patient` caller (a worker) waits until the server comes, trying again every few seconds; another gets
    TemporalAwayError at once, naming the address.
    """
    pause = 0.5
    while True:
        options = config(settings)
        try:
            return await Client.connect(**options)
        except (RuntimeError, RPCError) as error:
            reason = str(error).splitlines()[0][:200]
            message = f"Temporal at {options['target_host']} does not answer: {reason}"
            if not patient:
                raise TemporalAwayError(
                    message, hint="Check TEMPORAL_ADDRESS and the server, or start `waymark up`."
                ) from None
            log.warning("%s; trying again in %.1f s", message, pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 10)
