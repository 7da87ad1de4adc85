"""The database of a process: the one that is named, the one of the stack over the home folder, or the embedded one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from journeys.errors import WaymarkError
from records import revisions
from records.database import create_engine
from workers.running import resolve
from workers.server.postgres import EmbeddedPostgres
from workers.settings import Settings


class DatabaseAwayError(WaymarkError):
    """The database does not answer. Check WAYMARK_DATABASE_URL and the server, then try again."""


def embedded(settings: Settings, *, durable: bool = True) -> EmbeddedPostgres:
    """The PostgreSQL server of the home folder, not started; `durable` as there."""
    return EmbeddedPostgres(settings.home / "postgres", durable=durable)


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """The address of the database for as long as it is needed.

    Where the settings name none, the embedded server is started, brought up to date, and stopped afterwards unless
    somebody else uses it.
    """
    if settings.database_url:
        yield settings.database_url
        return
    # Alembic takes as long to import as the rest of a short command, and no other database is brought up to date here.
    from records.migration import migrate

    server = embedded(settings)
    url = await anyio.to_thread.run_sync(lambda: server.start())
    try:
        await anyio.to_thread.run_sync(migrate, url)
        yield url
    finally:
        await anyio.to_thread.run_sync(server.stop)


@asynccontextmanager
async def database(settings: Settings, *, migrated: bool = True, ping: bool = True) -> AsyncIterator[AsyncEngine]:
    """The engine of the database, disposed of at the end; `ping` is that of `create_engine`.

    Raises DatabaseAwayError when it does not answer, and WaymarkError when its tables are not those of this release
    (unless `migrated` is false).
    """
    async with database_url(resolve(settings)) as url:
        engine = create_engine(url, pool_size=settings.database_connections, ping=ping)
        try:
            if migrated:
                await _look(engine)
            yield engine
        except DBAPIError as error:
            if error.connection_invalidated:
                raise away(error) from None
            raise
        finally:
            await engine.dispose()


async def _look(engine: AsyncEngine) -> None:
    try:
        async with engine.connect() as db:
            missing = await db.run_sync(revisions.pending)
    except (DBAPIError, OSError) as error:
        raise away(error) from None
    if missing:
        raise WaymarkError(
            f"The database lacks {len(missing)} of this release's migrations.", hint="Run `waymark migrate` first."
        )


def away(error: Exception) -> DatabaseAwayError:
    """What to tell a person when the database does not answer."""
    reason = str(getattr(error, "orig", error)).strip().splitlines() or [type(error).__name__]
    return DatabaseAwayError(
        f"The database does not answer: {reason[0][:200]}",
        hint="Check WAYMARK_DATABASE_URL and the server; unset the variable for the embedded database.",
    )
