"""Amounts of money, as people read them."""

from __future__ import annotations

from decimal import Decimal


def money(amount: Decimal) -> str:
    """An amount as people read it."""
    return f"{amount:,.0f}" if amount == amount.to_integral_value() else f"{amount:,.2f}"
