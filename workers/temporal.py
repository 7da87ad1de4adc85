"""The way to the Temporal server, wherever it is."""

import asyncio
import logging
import re
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode

from journeys import attributes
from journeys.errors import WaymarkError
from workers import running
from workers.settings import Settings

VALUE_TYPES = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Int": IndexedValueType.INDEXED_VALUE_TYPE_INT,
}

NOWHERE = "127.0.0.1:9"
"""Where no Temporal server is (the discard port, RFC 863): where a client leads that can do without one."""

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


async def connect(settings: Settings, *, patient: bool = False, lazy: bool = False) -> Client:
    """A client of the configured server.

    A `patient` caller (a worker) waits until the server comes, trying again every few seconds. A `lazy` one, whose
    work is kept in the records until there is a server, gets a client that connects when it is first used; where no
    server is named, it is the same as where one is away. Any other gets TemporalAwayError at once, naming the address.
    """
    pause = 0.5
    while True:
        try:
            options = config(settings)
        except TemporalAwayError:
            if not lazy:
                raise
            options = {"target_host": NOWHERE, "namespace": namespace()}
        try:
            return await Client.connect(**options, lazy=lazy)
        except (RuntimeError, RPCError) as error:
            # The SDK wraps the system's own words in the names of its types.
            inner = re.search(r'message: "([^"]+)"', str(error))
            reason = inner[1] if inner else str(error).splitlines()[0][:200]
            message = f"Temporal at {options['target_host']} does not answer: {reason}"
            if not patient:
                raise TemporalAwayError(
                    message, hint="Check TEMPORAL_ADDRESS and the server, or start `waymark up`."
                ) from None
            log.warning("%s; trying again in %.1f s", message, pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 10)


async def ensure_search_attributes(client: Client) -> list[str]:
    """Register what operators filter runs by, where it is missing; returns the names that were added.

    Raises WaymarkError when the server does not allow it: then whoever administers it must do it.
    """
    operator, namespace_ = client.operator_service, client.namespace
    try:
        known = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=namespace_))
        missing = {name: kind for name, kind in attributes.KINDS.items() if name not in known.custom_attributes}
        if missing:
            types = {name: VALUE_TYPES[kind] for name, kind in missing.items()}
            await operator.add_search_attributes(
                AddSearchAttributesRequest(namespace=namespace_, search_attributes=types)
            )
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            return []
        if error.status is RPCStatusCode.NOT_FOUND:
            raise WaymarkError(
                f"Temporal has no namespace {namespace_}.", hint="Check TEMPORAL_NAMESPACE, or create the namespace."
            ) from None
        raise WaymarkError(
            f"The search attributes of namespace {namespace_} cannot be registered: {error.message}",
            hint="Have them created by its administrator; `waymark doctor` prints the command.",
        ) from None
    return sorted(missing)
