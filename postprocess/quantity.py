"""A measured number (value, one standard error, unit, sample size) and how it is written down."""

import math
from dataclasses import dataclass
from typing import Optional

MISSING = "–"
THIN = "\u2009"  # space between thousands
HUGE = 1e5  # from which numbers of no set size are written with a power of ten


@dataclass(frozen=True)
class Quantity:
    """One entry of results.json. `error` is one standard error; `spread` a standard deviation."""

    value: float
    error: Optional[float] = None
    unit: str = "1"
    n: Optional[int] = None
    spread: Optional[float] = None


def decimals_of(error, fallback):
    """Decimals that show one significant digit of an error, two where the first is a 1; 0 to 10."""
    if error is None or not error > 0.0:
        return fallback
    exponent = math.floor(math.log10(error))
    leading = error / 10.0 ** exponent
    return min(10, max(0, -exponent + (1 if leading < 1.95 else 0)))


def number(value, decimals=None, significant=3):
    """A number as text: fixed decimals, or so many significant digits without an 'e'."""
    if value is None or not math.isfinite(value):
        return MISSING
    if decimals is not None:
        value = round(value, decimals) + 0.0  # no minus before a zero
        return f"{value:,.{decimals}f}".replace(",", THIN).replace("-", "−")
    if value == 0.0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -3:
        mantissa, power = f"{value:.{significant - 1}e}".split("e")
        return f"{mantissa}·10{superscript(int(power))}".replace("-", "−")
    return number(value, max(0, significant - 1 - exponent))


def superscript(power):
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def with_error(quantity, fallback=3):
    """'1.988 ± 0.012', or the value alone where no error is known, or a dash where it is missing."""
    if quantity is None:
        return MISSING
    decimals = decimals_of(quantity.error, fallback)
    if quantity.error is None:
        return number(quantity.value, decimals)
    return f"{number(quantity.value, decimals)} ± {number(quantity.error, decimals)}"


def short(value, decimals=None, significant=3):
    """As `number`, with a power of ten where it would be long."""
    if value is None or not math.isfinite(value) or abs(value) < HUGE:
        return number(value, decimals, significant)
    mantissa, power = f"{value:.{min(significant, 2) - 1}e}".split("e")
    return f"{mantissa}·10{superscript(int(power))}".replace("-", "−")


def short_with_error(quantity, fallback=3):
    """As `with_error`: '(4.3 ± 4.3)·10⁸' where value or error is huge."""
    if quantity is None:
        return MISSING
    largest = max(abs(quantity.value), quantity.error or 0.0)
    if largest < HUGE:
        return with_error(quantity, fallback)
    if quantity.error is None:
        return short(quantity.value)
    power = math.floor(math.log10(largest))
    scaled = Quantity(quantity.value / 10.0 ** power, quantity.error / 10.0 ** power)
    if scaled.error > 0.1:
        text = f"{number(scaled.value, 1)} ± {number(scaled.error, 1)}"
    else:
        text = with_error(scaled)
    return f"({text})·10{superscript(power)}"


def value_only(quantity, decimals=None, significant=3):
    return MISSING if quantity is None else number(quantity.value, decimals, significant)


def plain(value):
    """A number without an error: a whole one as it is, any other with five digits."""
    return count(value) if float(value).is_integer() else number(value, significant=5)


def signed(value, decimals):
    """With its sign, also where it is positive."""
    return ("+" if value > 0.0 else "") + number(value, decimals)


def percent(fraction):
    """A share as a percentage with two significant digits, down to what is plainly zero."""
    return "0%" if fraction == 0.0 else f"{number(100.0 * fraction, significant=2)}%"


def count(value):
    """A whole number with thin spaces between thousands."""
    return MISSING if value is None else number(value, 0)


def in_words(items):
    """'a', 'a and b', 'a, b and c'."""
    items = list(items)
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]
