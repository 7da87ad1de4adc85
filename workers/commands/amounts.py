"""Amounts of money, as people read them."""

from __future__ import annotations

from decimal import Decimal


def money(amount: Decimal, currency: str | None = None) -> str:
    """An amount as people read it, with the currency (ISO 4217) behind it where there is one."""
    figures = f"{amount:,.0f}" if amount == amount.to_integral_value() else f"{amount:,.2f}"
    return f"{figures} {currency}" if currency is not None else figures
