"""What happens while a server is away: it is waited for, and nothing is lost and nothing is sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from temporalio.client import Client, ScheduleHandle
from temporalio.testing import TimeSkipper

from journeys.identity import touch_key
from records.database import create_engine
from records.people import customers
from records.runs import entries
from records.runs.enrolments import Enrolment
from tests.end_to_end.apart import NAMESPACE, Apart, Role, apart
from tests.end_to_end.conftest import until
from tests.patience import PATIENCE, gone
from workers.schedules import EVERY, SWEEP

T = TypeVar("T")

COURSE = """\
journey: course
title: A course in coffee
enter:
  - {on: course.started, where: {consent: email}}
  - api
steps:
  - send: email/welcome
  - wait_for: {on: email.clicked, message: email/welcome, up_to: 3d}
    then:
      - score: {points: 5, because: went on}
      - send: email/brew_guide
  - finish: done
"""
THREE_MAILS = """\
journey: three_mails
title: Three mails
enter: api
steps:
  - send: email/welcome
  - score: {points: 5, because: the first went}
  - send: email/brew_guide
  - set: {stage: reader}
  - send: email/order_reminder
  - finish: done
"""


@pytest.fixture(scope="module")
async def far(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Apart]:
    async with apart(tmp_path_factory.mktemp("away"), course=COURSE, three_mails=THREE_MAILS) as servers:
        servers.waymark("migrate")
        servers.waymark("journeys", "publish")
        yield servers


@pytest.fixture(scope="module")
def crew(far: Apart) -> Iterator[Role]:
    """One worker process for all tests: it outlives every outage."""
    with far.role("worker", until="1 worker processes run") as role:
        family = role.family()
        yield role
        assert role.family() == family, "a worker died and was started again"
        assert role.stop() == 0
        assert gone(family)


@pytest.fixture
async def client(far: Apart) -> Client:
    return await Client.connect(far.temporal.address, namespace=NAMESPACE)


@pytest.fixture
def sweep(client: Client, crew: Role) -> ScheduleHandle:
    return client.get_schedule_handle(SWEEP)


async def swept(sweep: ScheduleHandle, found: Callable[[], T | None]) -> T:
    """What there is after a sweep that need not wait for its minute. What is a few seconds old is left for the next."""
    async with asyncio.timeout(PATIENCE):
        while not (result := found()):
            await sweep.trigger()
            await asyncio.sleep(0.5)
    return result


def run_of(far: Apart, name: str, state: str) -> Callable[[], dict[str, Any] | None]:
    """Looks for the one run of somebody in a state."""

    def look() -> dict[str, Any] | None:
        runs = far.lines("runs", "list", "--customer", name)
        assert len(runs) <= 1
        return next((run for run in runs if run["state"] == state), None)

    return look


async def test_the_sweep_is_a_schedule_of_every_minute_that_overlaps_nothing(sweep: ScheduleHandle) -> None:
    description = await sweep.describe()
    assert [interval.every for interval in description.schedule.spec.intervals] == [EVERY] == [timedelta(minutes=1)]
    assert not description.schedule.state.paused
    before = description.info.num_actions
    async with asyncio.timeout(PATIENCE):
        await sweep.trigger()
        while (await sweep.describe()).info.num_actions <= before:
            await asyncio.sleep(0.1)


async def test_what_happens_while_temporal_is_away_is_kept_and_routed_when_it_is_back(
    far: Apart, crew: Role, sweep: ScheduleHandle
) -> None:
    far.bring("ann", "ben", "cleo")
    far.waymark("enrol", "course", "ann")
    until(run_of(far, "ann", "waiting"))

    await far.temporal.stop()
    click = ("events", "send", "ann", "email.clicked", "--property", "message=email/welcome", "--key", "ann-clicks")
    told = far.waymark(*click)
    assert "is stored" in told.stderr
    assert "Temporal does not answer" in told.stderr
    assert far.document(*click)["duplicate"]
    assert far.document("events", "send", "ben", "course.started")["complete"] is False
    [entered] = far.lines("enrol", "course", "cleo")
    assert entered["started"] is False
    assert [far.lines("runs", "list", "--customer", name)[0]["state"] for name in ("ben", "cleo")] == ["pending"] * 2
    refused = far.run("runs", "resolve", "1", "--as", "sent")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"Temporal at {far.temporal.address} does not answer" in refused.stderr
    await far.temporal.start()

    ended = await swept(sweep, run_of(far, "ann", "finished"))
    assert ended["outcome"] == "done"
    for name in ("ben", "cleo"):
        await swept(sweep, run_of(far, name, "waiting"))
    assert [len(far.mails_to(name)) for name in ("ann", "ben", "cleo")] == [2, 1, 1]
    titles = [entry["title"] for entry in far.document("customers", "show", "ann")["timeline"]]
    assert (titles.count("email.clicked"), titles.count("+5 points")) == (1, 1)


async def test_an_entry_that_a_crash_left_without_a_run_is_started_by_the_sweep(
    far: Apart, sweep: ScheduleHandle
) -> None:
    far.bring("dora")
    engine = create_engine(far.environment["WAYMARK_DATABASE_URL"])
    async with engine.begin() as db:
        dora = await customers.find(db, "dora")
        entered = await entries.enrol(
            db, customer_id=dora.id, journey="course", version=1, re_enter="never", source="api",
            now=datetime.now(UTC) - timedelta(minutes=1),
        )  # fmt: skip
    await engine.dispose()
    assert isinstance(entered, Enrolment)
    run = await swept(sweep, run_of(far, "dora", "waiting"))
    assert (run["id"], len(far.mails_to("dora"))) == (entered.id, 1)


async def test_runs_under_way_outlast_a_database_that_goes_away(far: Apart, crew: Role) -> None:
    names = [f"eve{number}" for number in range(20)]
    far.bring(*names)
    log = far.home / "logs" / "worker-1.log"
    said_before = log.stat().st_size
    with far.mails.asleep():  # so that the database goes away before the runs are over, however fast they are
        far.waymark("enrol", "three_mails", *names)
        until(lambda: "sending" in [run["state"] for run in far.lines("runs", "list", "--journey", "three_mails")])
        far.database.stop()

    refused = far.run("runs", "list", "--json")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "The database does not answer" in refused.stderr
    until(lambda: "OperationalError" in log.read_bytes()[said_before:].decode())
    assert far.database.start() == far.environment["WAYMARK_DATABASE_URL"]

    def all_ended() -> list[dict[str, Any]] | None:
        runs = far.lines("runs", "list", "--journey", "three_mails")
        return runs if all(run["ended_at"] for run in runs) else None

    runs = until(all_ended)
    assert [run["outcome"] for run in runs] == ["done"] * 20
    assert far.lines("runs", "list", "--uncertain") == []
    mails = [mail for name in names for mail in far.mails_to(name)]
    assert len(mails) == 60
    assert len({(mail["to"], mail["subject"]) for mail in mails}) == 60
    assert {one["score"] for one in far.lines("customers", "list", "--search", "eve")} == {5}


async def test_a_relay_that_says_not_now_and_then_nothing_at_all_gets_the_mail_when_it_recovers(
    far: Apart, crew: Role, client: Client
) -> None:
    far.bring("fay")
    far.mails.misbehave(dot={"pattern": "fay@", "code": 451, "text": "4.3.2 the disk is full"})
    [entered] = far.lines("enrol", "course", "fay")
    run = until(run_of(far, "fay", "retrying"))
    assert "the disk is full" in run["because"]
    listed = far.waymark("runs", "list", "--customer", "fay").stdout
    assert "retrying" in listed
    assert "the disk is full" in " ".join(listed.split())

    far.mails.misbehave(refuse_connections=True)
    await pass_time(client, run, timedelta(minutes=2))
    run = until(lambda: (one := run_of(far, "fay", "retrying")()) and one["turn"] > run["turn"] and one)
    assert "the disk is full" not in run["because"]
    assert far.document("runs", "show", str(run["id"]))["touches"] == []

    far.mails.misbehave()
    await pass_time(client, run, timedelta(minutes=5))
    until(run_of(far, "fay", "waiting"))
    [mail] = far.mails_to("fay")
    [touch] = far.document("runs", "show", str(run["id"]))["touches"]
    assert (touch["status"], touch["attempts"]) == ("sent", 3)
    assert touch["key"] == touch_key(entered["enrolment"], "send-email-welcome", 1)
    assert message_id(far, mail).startswith(f"<{touch['key']}@")


async def test_a_relay_that_keeps_a_mail_which_it_put_off_gets_it_again_under_the_same_message_id(
    far: Apart, crew: Role, client: Client
) -> None:
    far.bring("gil")
    far.mails.misbehave(stored={"pattern": "gil@", "code": 451, "text": "4.4.2 try again"})
    far.waymark("enrol", "course", "gil")
    run = until(run_of(far, "gil", "retrying"))
    far.mails.misbehave()
    await pass_time(client, run, timedelta(minutes=2))
    until(run_of(far, "gil", "waiting"))
    first, second = far.mails_to("gil")
    assert message_id(far, first) == message_id(far, second)


async def pass_time(client: Client, run: dict[str, Any], span: timedelta) -> None:
    """Let time pass on the clock of a customer's first entry."""
    handle = client.get_workflow_handle(f"journey/{run['journey']}/{run['customer_id']}/1")
    await TimeSkipper(client).fast_forward(handle, span)


def message_id(far: Apart, mail: dict[str, Any]) -> str:
    headers = dict(map(tuple, far.mails.message(mail["id"])["headers"]))
    return str(headers["Message-ID"])
