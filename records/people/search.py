"""Finding people by what somebody remembers of them: the beginnings of names, addresses, numbers and external ids.

Every way asks an index, so that a million customers are searched as fast as a hundred.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    Text,
    and_,
    cast,
    column,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY, TSVECTOR
from sqlalchemy.ext.asyncio import AsyncConnection

from records.people.customers import Customer
from records.tables import WORDS, customers, identities, shown

MOST_WORDS = 8
LONGEST = 320
SHORTEST_NUMBER = 4
"""Digits from which a text is looked for among phone numbers."""
_NUMBER = re.compile(r"[+\d][\d\s().\-/]*")
_LAST = "\U0010ffff"
_BARE = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"})


async def list_page(
    db: AsyncConnection, *, after: int = 0, limit: int = 50, search: str | None = None
) -> list[Customer]:
    """Customers in the order of their ids, those after the id `after`; `search` is the beginning of a word of the
    name, of an external id, an address or a number."""
    query = select(*shown(customers)).order_by(customers.c.id)
    if search and search.strip():
        # A plan for any beginning reads every customer: how few one finds is seen from what it is.
        await db.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
        sought = matching(search, after=after, limit=limit)
        query = query.join(sought, sought.c.id == customers.c.id)
    else:
        query = query.where(customers.c.id > after).limit(limit)
    return [Customer(**row._mapping) for row in await db.execute(query)]


def matching(sought: str, *, after: int, limit: int) -> CTE:
    """The first ids above `after` of those whom a text may mean: all its words begin words of the name; or it begins
    an external id, an address, or a number, however that is written (0151 ..., +49 151 ..., 0049 151 ...)."""
    said = sought.replace("\0", "").strip()[:LONGEST]
    begins = [_begins("external_id", spelling) for spelling in sorted({said, said.lower(), said.upper()})]
    begins.append(_begins("email", said.lower()))
    numbers = _numbers(said)
    if len(numbers) == 1:
        begins.append(_begins("phone", numbers[0]))
    ways: list[Any] = [
        select(identities.c.customer_id.label("id")).where(or_(*begins)),
        # What several people share names none of them, and is found on each as a whole.
        select(customers.c.id).where(customers.c.sharing, customers.c.email == said.lower()),
    ]
    if numbers:
        these = literal(numbers, ARRAY(Text))
        ways.append(select(customers.c.id).where(customers.c.sharing, customers.c.phone == func.any(these)))
    if len(numbers) > 1:
        ways.append(_whose_number_begins(these))
    words = re.findall(r"[^\W_]+", _bare(said))[:MOST_WORDS]
    if words and "@" not in said:
        asked = cast(" & ".join(f"'{word}':*" for word in words), TSQUERY)
        ways.append(select(customers.c.id).where(literal_column(WORDS, TSVECTOR).op("@@")(asked)))
    found = union(*ways).subquery("found")
    return select(found.c.id).where(found.c.id > after).order_by(found.c.id).limit(limit).cte("sought")


def _bare(text: str) -> str:
    """Small letters without accents, as the index of names has them."""
    signs = (sign for sign in unicodedata.normalize("NFD", text) if not "\u0300" <= sign <= "\u036f")
    return unicodedata.normalize("NFC", "".join(signs)).translate(_BARE).lower()


def _begins(kind: str, beginning: str | ColumnElement[str]) -> ColumnElement[bool]:
    value = identities.c.value
    return and_(identities.c.kind == kind, value >= beginning, value < beginning + _LAST)


def _whose_number_begins(numbers: ColumnElement[Any]) -> Select[tuple[int]]:
    """Whoever has a number that begins with one of these: each is looked up by itself, where a condition with
    hundreds of parts would take longer to plan than to answer."""
    beginning = func.unnest(numbers).table_valued(column("begins", Text), name="numbers").render_derived()
    own = beginning.join(identities, _begins("phone", beginning.c.begins))
    return select(identities.c.customer_id.label("id")).select_from(own)


def _numbers(text: str) -> list[str]:
    """The beginnings in E.164 that a number may have; without a country's code it may be any country's."""
    digits = re.sub(r"\D", "", text)
    if not _NUMBER.fullmatch(text) or len(digits) < SHORTEST_NUMBER:
        return []
    if text.startswith("+"):
        return [f"+{digits}"]
    if digits.startswith("00"):
        return [f"+{digits[2:]}"]
    national = digits.removeprefix("0")
    numbers = {f"+{code}{one}" for code in COUNTRY_CODE_TO_REGION_CODE for one in {national, digits}}
    return sorted(numbers | {f"+{national}"})
