"""The console as a process: `python -m workers.serving`, or `waymark console`."""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from activities.deliveries.receipts import Receipts
from console.app import create_app
from console.parts import Parts
from journeys.errors import WaymarkError
from journeys.identities import load_identity
from workers.child import announce, until_told_to_stop
from workers.foundation import Foundation, found
from workers.leaving import leave
from workers.server.ports import port_is_free
from workers.settings import Settings, load_settings


def console_parts(parts: Foundation) -> Parts:
    """What the console needs of it."""
    settings = parts.settings
    return Parts(
        database=parts.engine,
        audience=parts.audience,
        receipts=Receipts(parts.engine, parts.audience),
        links=parts.links,
        fields=parts.fields,
        desk=parts.desk,
        merging=parts.merging,
        identity=load_identity(settings.definitions / "identity.yaml"),
        unknown=settings.unknown_customers,
        url=parts.links.base,
        workspace=settings.workspace_name,
        locale=settings.workspace_locale,
        api_key=settings.api_key.get_secret_value() if settings.api_key else None,
        twilio_auth_token=settings.twilio_auth_token.get_secret_value() if settings.twilio_auth_token else None,
    )


async def serve(settings: Settings, *, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is told the address.

    Raises WaymarkError when the port is in use, or when the host is reachable from elsewhere and there is no key.
    """
    if not settings.loopback and settings.api_key is None:
        raise WaymarkError(
            f"The console would listen on {settings.host}, beyond this machine, without a key.",
            hint="Set WAYMARK_API_KEY, or leave WAYMARK_HOST at 127.0.0.1.",
        )
    if not port_is_free(settings.host, settings.console_port):
        raise WaymarkError(
            f"Port {settings.console_port} of {settings.host} is in use.",
            hint="Stop what uses it, or choose another with --port or WAYMARK_CONSOLE_PORT.",
        )
    async with found(settings, patient=True) as parts:
        config = uvicorn.Config(
            create_app(console_parts(parts)),
            host=settings.host,
            port=settings.console_port,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=10,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started and not serving.done():  # noqa: ASYNC110 (uvicorn sets no event)
            await asyncio.sleep(0.02)

        def started() -> None:
            if server.started:
                ready(f"http://{settings.host}:{settings.console_port}")

        told = asyncio.create_task(until_told_to_stop(started))
        await asyncio.wait([serving, told], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        told.cancel()
        await serving


class _Server(uvicorn.Server):
    """Leaves the signals to us: stopping is ordered by whoever started the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main() -> None:
    """One console process of a local stack."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(serve(load_settings(), ready=lambda url: announce(url=url)))
    except WaymarkError as error:
        sys.stderr.write(f"{error.message}\n")
        leave(1)
    except Exception:
        logging.exception("the console cannot go on")
        leave(70)
    leave(0)


if __name__ == "__main__":
    main()
