"""Looking ahead: who would get a broadcast and who not, by the same rules as when it is sent; nothing is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.broadcasts.proofs import Proofs
from activities.broadcasts.studio import Studio
from journeys.broadcast_files import parse
from journeys.errors import WaymarkError
from journeys.sending import SendingRules
from records.messages import addressees, broadcasts, claims, shards
from records.messages.claims import Claim, Settlement
from records.people import suppressions, upserts
from records.people.contacts import Contact
from records.runs import holds
from records.tables import touches
from workers.composition import Composition, compose
from workers.settings import Settings

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
SPRING = "broadcast: spring\ntitle: Spring\nwhere: {tag: reader}\nsend: email/whats_new\n"
RULES = SendingRules.model_validate(
    {"channels": {"email": {"at_most": {"count": 1, "per": "1w"},
                            "countries": {"JP": {"quiet_hours": {"from": "17:00", "to": "23:00"}}}}}}
)  # fmt: skip


@pytest.fixture
async def parts(engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Composition]:
    settings = Settings(
        home=tmp_path,
        definitions=ROOT / "definitions",
        templates=ROOT / "templates",
        secret="s" * 32,
    )
    nowhere = await Client.connect("127.0.0.1:1", lazy=True)
    async with compose(settings, engine=engine, client=nowhere, channels={}, rules=RULES) as parts:
        yield parts


@pytest.fixture
def studio(parts: Composition) -> Studio:
    return parts.studio


@pytest.fixture
def proofs(parts: Composition) -> Proofs:
    return parts.proofs


async def reader(engine: AsyncEngine, name: str, **columns: Any) -> int:
    columns = {"email": f"{name}@x.example", "consents": {"email": True}, **columns}
    async with engine.begin() as db:
        return (await upserts.upsert(db, Contact(first_name=name, tags=("reader",), **columns), now=NOW)).id


async def test_everybody_who_is_left_out_is_counted_with_the_reason(proofs: Proofs, engine: AsyncEngine) -> None:
    of = parse(SPRING).broadcast
    await reader(engine, "ann")
    await reader(engine, "no", consents={})
    await reader(engine, "withdrawn", consents={"email": False})
    await reader(engine, "phone", email=None, phone="+4930901820")
    await reader(engine, "dead")
    paused, capped = await reader(engine, "paused"), await reader(engine, "capped")
    await reader(engine, "night", country="JP", time_zone="Asia/Tokyo")
    async with engine.begin() as db:
        await suppressions.add(db, "email", "dead@x.example", "bounced", source="550", at=NOW)
        await holds.hold(db, "customer", str(paused), by="marie", because=None, now=NOW)
        earlier = await broadcasts.create(db, "earlier", {}, starts_at=NOW, by="test", now=NOW)
        assert earlier is not None
        one = Claim(capped, None, "email/x", "k1", "capped@x.example", "claimed", None)
        await claims.claim(db, earlier.id, of, [one], NOW - timedelta(days=2))
    seen = await proofs.preview(of, NOW)
    assert (seen.meant, seen.would_get) == (8, 1)
    assert seen.waits == {"quiet hours": 1}
    assert seen.left_out == {
        "no consent to email": 1, "consent to email was withdrawn": 1, "no e-mail address": 1,
        "the address is suppressed: bounced": 1, "the customer is paused": 1, "capped: 1 mail within 1 week": 1,
    }  # fmt: skip
    [wording] = seen.wordings
    assert "Hello ann" in wording.message.text
    async with engine.connect() as db:
        assert (await db.execute(select(func.count()).select_from(touches))).scalar_one() == 1


async def test_a_local_start_is_told_with_its_moments(proofs: Proofs, engine: AsyncEngine) -> None:
    await reader(engine, "ann", time_zone="Europe/Berlin")
    await reader(engine, "bob", time_zone="Asia/Tokyo")
    seen = await proofs.preview(parse(SPRING + 'start: {local: "09:00", on: 2026-12-02}').broadcast, NOW)
    assert seen.waves == {datetime(2026, 12, 2, 0, tzinfo=UTC): 1, datetime(2026, 12, 2, 8, tzinfo=UTC): 1}


async def test_the_lot_of_the_trial_is_the_same_in_sql(engine: AsyncEngine) -> None:
    of = parse(f"{SPRING}ab: {{share: 40%, subjects: {{a: x, b: y}}, winner: clicks, after: 1h}}").broadcast
    people = [await reader(engine, f"p{number}") for number in range(60)]
    async with engine.connect() as db:
        tried = {one.id for one in await addressees.page(db, of, after=0, limit=100, since=NOW, part="trial")}
        shards = [await addressees.page(db, of, after=0, limit=100, since=NOW, shard=(n, 3)) for n in range(3)]
    assert tried == {one for one in people if of.in_trial(one)}
    assert sorted(one.id for shard in shards for one in shard) == people


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("start: 2026-11-30T09:00:00Z", "lies in the past"),
        ('start: {local: "09:00", on: 2026-11-29}', "lies in the past"),
    ],
)
async def test_what_should_have_begun_is_not_started(studio: Studio, engine: AsyncEngine, line: str, told: str) -> None:
    with pytest.raises(WaymarkError, match=told):
        await studio.start(parse(SPRING + line), at=None, by="test", now=NOW)
    async with engine.connect() as db:
        assert await broadcasts.listing(db) == []


async def test_a_segment_that_is_not_in_force_is_told_before_anything_is_written(
    studio: Studio, engine: AsyncEngine
) -> None:
    with pytest.raises(WaymarkError, match="no segment in force"):
        await studio.start(parse(SPRING.replace("where: {tag: reader}", "segment: nobody")), at=None, by="t", now=NOW)
    async with engine.connect() as db:
        assert await broadcasts.listing(db) == []


async def test_who_was_cut_off_is_in_doubt_and_who_was_only_claimed_is_free_again(engine: AsyncEngine) -> None:
    of = parse(SPRING).broadcast
    people = [await reader(engine, f"p{number}") for number in range(4)]
    async with engine.begin() as db:
        row = await broadcasts.create(db, "spring", parse(SPRING).definition, starts_at=NOW, by="test", now=NOW)
        assert row is not None
        await broadcasts.begin(db, row.id, NOW)
        first = await shards.take_over(db, row.id, 0, 1, 1)
        wanted = [Claim(one, None, "email/x", f"k{one}", "a@x.example", "claimed", None) for one in people]
        assert await claims.claim(db, row.id, of, wanted, NOW) == set(people)
        assert await claims.claim(db, row.id, of, wanted, NOW) == set()
        assert await shards.standing(db, row.id, 0, first.epoch, channel="email", leaving=people[1]) is not None
        second = await shards.take_over(db, row.id, 0, 1, 1)
        assert second.doubtful == 2
        assert await shards.standing(db, row.id, 0, first.epoch, channel="email", leaving=people[3]) is None
        left = (await db.execute(select(touches.c.customer_id, touches.c.status))).all()
    assert sorted((one.customer_id, one.status) for one in left) == [(one, "uncertain") for one in people[:2]]


async def test_who_is_to_get_it_again_is_told_of_by_whatever_way_comes_next(engine: AsyncEngine) -> None:
    of = parse(SPRING).broadcast
    one = await reader(engine, "p")
    async with engine.begin() as db:
        row = await broadcasts.create(db, "spring", parse(SPRING).definition, starts_at=NOW, by="test", now=NOW)
        assert row is not None
        await shards.take_over(db, row.id, 0, 1, 1)
        claim = Claim(one, None, "email/x", "k", "a@x.example", "claimed", None)
        assert await claims.claim(db, row.id, of, [claim], NOW) == {one}
        await claims.settle(db, [Settlement("k", "failed", "554 5.7.1 spam", again=True)], NOW)
        assert await claims.send_again(db, row.id, NOW) == 1
        # The next wave is for other zones: whoever was refused before is served by a way of their own.
        assert [(await shards.take_over(db, row.id, 0, 1, way)).again for way in (2, 2, 3)] == [NOW, NOW, None]
        assert await claims.claim(db, row.id, of, [claim], NOW) == {one}
