"""What a report says of distances and their floors: a sentence of each kind for the answer, and tables."""

from html import escape

from distance_floor import KIND_NAMES, KINDS
from html_page import lead_word, paragraph, table
from quantity import MISSING, Quantity, count, decimals_of, in_words, number, with_error


def distance_sentences(verdicts):
    """One sentence a kind. At the floor is inconclusive: how small an error would have been missed is
    said each time."""
    if not verdicts:
        return [lead_word("Distances.", "No distance with a floor was measured.")]
    found = [(kind, [v for v in verdicts if v.kind == kind]) for kind in KINDS]
    return [kind_sentence(kind, own) for kind, own in found if own]


def kind_sentence(kind, verdicts):
    parts = []
    for state in ("above", "below"):
        away = [v for v in verdicts if v.state == state]
        if away:
            share = f" in {len(away)} of {len(verdicts)} cases" if len(verdicts) > 1 else ""
            parts.append(f"{state} the floor{share}: {'; '.join(map(away_text, away))}")
    at = [v for v in verdicts if v.state == "at"]
    if at:
        parts.append(f"at the floor in {where(at, verdicts)}, which is inconclusive: an error has to reach "
                     f"{limits(at)} to be seen as often as missed")
    return lead_word(f"W2, {KIND_NAMES[kind]}:", "; ".join(parts) + ".")


def where(some, verdicts):
    if len(some) < len(verdicts) or len(some) == 1:
        return in_words(escape(v.label) for v in some)
    return "both cases" if len(some) == 2 else f"all {len(some)} cases"


def limits(verdicts):
    """The errors that the distances could just have shown: one, or from the least to the largest."""
    ends = [number(end(v.detectable for v in verdicts), significant=2) for end in (min, max)]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def away_text(v):
    times = f"{number(v.ratio, significant=2)} times the floor of " if v.floor > 0.0 else "floor "
    rest = (f"error about {number(v.error_left, significant=2)}" if v.state == "above" else
            "closer than independent samples are to each other")
    return f"{escape(v.label)} {fixed(v.value, v)} ({times}{fixed(v.floor, v)} ± {fixed(v.margin, v)}; {rest})"


def fixed(value, verdict):
    """With the digits that the swing of the floor leaves."""
    return number(value, decimals_of(verdict.spread, 4))


def distance_tables(own, singular=None):
    """One table of each family; the singular reference only where the experiment has one."""
    header = ("case", "distance", "points", "W2 ± s.e.", "floor ± interval", "spread", "pairs",
              "value/floor", "error that the floor leaves", "error seen as often as missed", "verdict")
    words = {"at": "at the floor: inconclusive", "above": "above the floor", "below": "below the floor"}
    body = ""
    for verdicts, caption in ((own, "To the case's own reference"),
                              (singular, "To the singular reference (the paper's column)")):
        if verdicts is None:
            continue
        rows = [(v.label, KIND_NAMES[v.kind], count(v.points), with_error(Quantity(v.value, v.error), 4),
                 f"{fixed(v.floor, v)} ± {fixed(v.margin, v)}", fixed(v.spread, v), str(v.pairs),
                 number(v.ratio, 2), number(v.error_left, significant=2) if v.state == "above" else MISSING,
                 number(v.detectable, significant=2), words[v.state]) for v in verdicts]
        body += table(header, rows, caption) if rows else paragraph(f"{caption}: not measured.")
    return body
