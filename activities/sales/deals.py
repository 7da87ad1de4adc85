"""What may be said of a deal: its amount, and the day on which it is expected to close."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

from journeys.errors import WaymarkError

MOST = Decimal(10) ** 12
"""Amounts below it are believed."""
FARTHEST_CLOSE = timedelta(days=3660)


def read_amount(value: object) -> Decimal:
    """An amount of money. Raises WaymarkError for what is none: text, negative, huge, infinite, NaN."""
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        raise WaymarkError(f"{str(value)[:40]!r} is no amount.", hint="Write a number such as 1200 or 99.50.") from None
    if isinstance(value, bool) or not amount.is_finite() or not 0 <= amount < MOST:
        raise WaymarkError(
            f"{str(value)[:40]!r} is no amount.", hint="An amount is a number from 0 up to a million millions."
        )
    return amount.quantize(Decimal("0.01")) if amount.as_tuple().exponent < -2 else amount  # type: ignore[operator]


def read_close(value: object, today: date) -> date:
    """The day on which a deal is expected to close. Raises WaymarkError for what is none, is past, or far off."""
    try:
        day = value if isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError:
        raise WaymarkError(f"{str(value)[:40]!r} is no day.", hint="Write YYYY-MM-DD.") from None
    if day < today:
        raise WaymarkError(f"{day} is past.", hint="Say when the deal is expected to close.")
    if day - today > FARTHEST_CLOSE:
        raise WaymarkError(f"{day} is more than ten years away.", hint="Say when the deal is expected to close.")
    return day
