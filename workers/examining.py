"""Looking at every part of an installation: what is wrong, and what to do."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import anyio.to_thread
from sqlalchemy.exc import DBAPIError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from activities.channels.channel import Channel
from journeys import attributes, lifecycle, sales, scoring
from journeys.errors import WaymarkError
from journeys.fields import load_fields
from journeys.instruction import QUEUE, channel_queue
from journeys.source import InvalidFile
from records import migration
from workers import temporal, versioning
from workers.composition import build_channels
from workers.databases import away, database_url
from workers.maps import checked
from workers.running import resolve
from workers.settings import Settings, unknown_variables, variable

State = Literal["ok", "warning", "wrong"]
PATIENCE = 15.0
"""Seconds in which a relay or a provider must answer. A delivery waits for longer, but nobody looks on then."""


@dataclass(frozen=True)
class Finding:
    """What one check came to; `hint` says what to do unless all is well."""

    part: str
    state: State
    detail: str
    hint: str | None = None


Check = Callable[[Settings], Awaitable[list[Finding]]]


async def examine(given: Settings) -> list[Finding]:
    """Look at all of them at once, as these settings and a stack that runs here name them. Nothing is raised: what
    cannot be looked at is a finding."""
    of = resolve(given)
    checks: dict[str, Check] = {
        "Python": _python,
        "settings": lambda of: _settings(of, given),
        "definitions": _definitions,
        "database": lambda of: _database(of, given),
        "Temporal": _temporal,
        "channels": _channels,
    }
    found = await asyncio.gather(*(_finding(part, check, of) for part, check in checks.items()))
    return [one for findings in found for one in findings]


async def _finding(part: str, check: Check, of: Settings) -> list[Finding]:
    try:
        return await check(of)
    except WaymarkError as error:
        return [Finding(part, "wrong", error.message, error.hint)]
    except RPCError as error:
        return [Finding(part, "wrong", error.message, "Check TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE.")]
    except Exception as error:  # noqa: BLE001 (one broken check must not hide the others)
        return [Finding(part, "wrong", f"{type(error).__name__}: {error}", "Run it with --debug.")]


async def _python(_: Settings) -> list[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    return [Finding("Python", "ok", found)]


async def _settings(of: Settings, given: Settings) -> list[Finding]:
    findings = [
        Finding("settings", "warning", f"{name} is no setting", f"Did you mean {near}?" if near else "Unset it.")
        for name, near in unknown_variables().items()
    ]
    if given.database_url and of.secret is None:
        hint = "Set WAYMARK_SECRET to the same value on every machine; else links of one break on the other."
        findings.append(Finding("settings", "warning", f"links are signed by a secret in {of.home}", hint))
    if not of.loopback and of.api_key is None:
        hint = "Set WAYMARK_API_KEY, or leave WAYMARK_HOST at 127.0.0.1."
        findings.append(Finding("settings", "wrong", f"the host {of.host} is open to others and there is no key", hint))
    return findings or [Finding("settings", "ok", f"home {of.home}")]


async def _definitions(of: Settings) -> list[Finding]:
    findings: list[Finding] = []
    try:
        fields = load_fields(of.definitions / "fields.yaml")
        rule = sales.load(of.definitions, fields)
        lifecycle.load(of.definitions / "lifecycle.yaml", fields)
        if (scores := of.definitions / "scoring.yaml").exists():
            scoring.load(scores, fields)
        journeys = checked(of, None)
    except InvalidFile as error:
        return [Finding("definitions", "wrong", str(one), "Correct the file.") for one in error.problems]
    findings.append(
        Finding("definitions", "ok", f"{len(journeys)} journeys, {len(fields)} fields, in {of.definitions}")
    )
    if rule is None:
        hint = "Put handoff.yaml beside journeys/, or leave it so."
        findings.append(Finding("definitions", "warning", "no handoff.yaml: no lead goes to sales by score", hint))
    messages = {send.send for one in journeys for _, send in one.program.sends()}
    findings.append(Finding("templates", "ok", f"{len(messages)} messages, in {of.templates}"))
    return findings


async def _database(of: Settings, given: Settings) -> list[Finding]:
    try:
        async with database_url(of) as url:
            missing = await anyio.to_thread.run_sync(migration.pending, url)
            revision = await anyio.to_thread.run_sync(migration.current, url)
    except (DBAPIError, OSError) as error:
        raise away(error) from None
    kind = "given" if given.database_url else "running" if of.database_url else "embedded, not running now"
    if missing:
        return [Finding("database", "wrong", f"{kind}; lacks {', '.join(missing)}", "Run `waymark migrate`.")]
    return [Finding("database", "ok", f"{kind}; at revision {revision}")]


async def _temporal(of: Settings) -> list[Finding]:
    client = await temporal.connect(of)
    where = f"{client.service_client.config.target_host}, namespace {client.namespace}"
    findings = [Finding("Temporal", "ok", where)]
    try:
        listing = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        findings.append(Finding("Temporal", "warning", f"search attributes cannot be listed: {error.message}"))
    else:
        missing = [name for name in attributes.KINDS if name not in listing.custom_attributes]
        if missing:
            words = " ".join(f"--name {name} --type {attributes.KINDS[name]}" for name in missing)
            hint = f"temporal operator search-attribute create --namespace {client.namespace} {words}"
            findings.append(Finding("Temporal", "wrong", f"search attributes missing: {', '.join(missing)}", hint))
    queues = (QUEUE, *map(channel_queue, ("email", "sms", "webhook")))
    return findings + [await _pollers(client, queue) for queue in queues] + await _shapes(client)


async def _pollers(client: Client, queue: str) -> Finding:
    kind = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW if queue == QUEUE else TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind)
    )
    if count := len({poller.identity for poller in answer.pollers}):
        return Finding("workers", "ok", f"{count} on the queue {queue}")
    return Finding("workers", "wrong", f"nobody works on the queue {queue}", "Start `waymark worker` or `waymark up`.")


async def _shapes(client: Client) -> list[Finding]:
    """Runs that stand still because the workers of their release are gone."""
    return [
        Finding(
            "workers", "wrong",
            f"nobody works on shape {one.name} of the workflow, "
            + (f"which {one.runs:,} open runs are pinned to" if one.runs else "which new runs begin with"),
            "Run `waymark worker` of the release that has it until these runs have gone on; see Upgrade.",
        )
        for one in await versioning.shapes(client)
        if one.stranded
    ]  # fmt: skip


async def _channels(of: Settings) -> list[Finding]:
    return await asyncio.gather(*(_channel(name, channel, of) for name, channel in build_channels(of).items()))


async def _channel(name: str, channel: Channel, of: Settings) -> Finding:
    given = {"email": ("smtp_url", of.smtp_url or ""), "sms": ("twilio_base_url", of.twilio_base_url)}
    setting, url = given.get(name, ("webhook_secret", ""))
    try:
        async with asyncio.timeout(PATIENCE):
            return Finding(name, "ok", await channel.check())
    except WaymarkError as error:
        return Finding(name, "wrong", error.message, error.hint)
    except TimeoutError:
        # Without the login that the address may hold.
        where = urlsplit(url).netloc.rpartition("@")[2]
        return Finding(name, "wrong", f"{where} says nothing for {PATIENCE:g} s", f"Check {variable(setting)}.")
    finally:
        await channel.close()
