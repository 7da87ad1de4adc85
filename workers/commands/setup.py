"""`migrate`: bringing the database up to date."""

import anyio.to_thread
import typer

from journeys.errors import WaymarkError
from records import revisions
from workers.commands.shared import AsJson, run, settings
from workers.commands.terminal import notice, print_json
from workers.databases import database_url
from workers.running import resolve

app = typer.Typer()


@app.command("migrate")
def migrate(as_json: AsJson = False) -> None:
    """Bring the database, and the Temporal namespace that the environment names, to this release.

    What is up to date stays as it is, so it may run before every start.
    """
    applied = run(_migrate())
    added = run(_register())
    if as_json:
        document = {"applied": applied, "revision": revisions.known()[-1], "search_attributes": added}
        print_json(document)
        return
    notice(f"Applied {', '.join(applied)}." if applied else "The database is up to date.")
    if added:
        notice(f"Registered the search attributes {', '.join(added)}.")


async def _register() -> list[str]:
    # Temporal's library, which knows where a server is named, takes as long to import as all else: help does without.
    from workers import temporal

    if not temporal.server_is_given():
        return []
    # The database is up to date by now, and that must not count as failed: workers register what is missing, too.
    try:
        return await temporal.ensure_search_attributes(await temporal.connect(settings()))
    except WaymarkError as error:
        notice(f"{error.message} {error.hint or ''}")
        return []


async def _migrate() -> list[str]:
    # So does what changes a database.
    from records import migration

    of = resolve(settings())
    before: list[str] = []
    if of.database_url is not None:
        before = await anyio.to_thread.run_sync(migration.pending, of.database_url)
    async with database_url(of) as url:
        await anyio.to_thread.run_sync(migration.migrate, url)
    return before
