"""What a report says of distances and their floors: one sentence for the answer and the tables."""

from html import escape

from distance_floor import KIND_NAMES, KINDS
from html_page import lead_word, paragraph, table
from quantity import Quantity, count, in_words, number, with_error


def distance_sentence(verdicts):
    family = [v for v in verdicts if v.counted]
    if not family:
        return lead_word("Distances.", "No distance with a floor was measured.")
    at = sum(v.state == "at" for v in family)
    pairs = in_words(sorted({str(v.pairs) for v in family}))
    what = f"between generated samples and their own reference ({kinds_of(family)})"
    meaning = (f"a floor is what independent reference sets of these sizes have between them, "
               f"over {pairs} pairs")
    if at == len(family):
        return lead_word("Distances.", (
            f"All {at} distances {what} are at their floor ({meaning}): at these sizes they cannot be "
            "told from zero error."))
    who = f"{at} of the {len(family)}" if at else f"None of the {len(family)}"
    above, below = (remains([v for v in family if v.state == state], state)
                    for state in ("above", "below"))
    return lead_word("Distances.", f"{who} distances {what} {'is' if at <= 1 else 'are'} at their floor "
                                   f"({meaning}){above}{below}.")


def remains(away, state):
    """What is left over (or under) the mean of the floor, the largest first."""
    away = sorted(away, key=lambda v: -abs(v.excess) / (v.floor or 1.0))
    if not away:
        return ""
    listed = ", ".join(f"{escape(v.label)} {KIND_NAMES[v.kind]} {number(abs(v.excess), 3)} "
                       f"({number(v.value, 3)} against {number(v.floor, 3)} ± {number(v.margin, 3)})"
                       for v in away[:3])
    more = f", {len(away) - 3} more in the <a href=\"#distances\">table</a>" if len(away) > 3 else ""
    return f"; what remains {state} the mean of the floor: {listed}{more}"


def kinds_of(verdicts):
    return in_words(KIND_NAMES[kind] for kind in KINDS if any(v.kind == kind for v in verdicts))


def distance_tables(own, singular=None):
    """One table of each family; the singular reference only where the experiment has one."""
    header = ("case", "distance", "points", "W2 ± s.e.", "floor mean", "spread", "pairs", "interval ±",
              "above floor", "value/floor", "verdict")
    words = {"at": "at the floor", "above": "above", "below": "below"}
    body = ""
    for verdicts, caption in ((own, "To the case's own reference"),
                              (singular, "To the singular reference (the paper's column)")):
        if verdicts is None:
            continue
        rows = [(v.label, KIND_NAMES[v.kind], count(v.points), with_error(Quantity(v.value, v.error), 4),
                 number(v.floor, 4), number(v.spread, 4), str(v.pairs), number(v.margin, 4),
                 number(v.excess, 4), number(v.ratio, 2),
                 words[v.state] + ("" if v.counted else " (not counted)"))
                for v in verdicts]
        body += table(header, rows, caption) if rows else paragraph(f"{caption}: not measured.")
    return body
