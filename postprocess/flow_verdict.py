"""The first sentence of an answer: did any check of the run show an error of the generated samples?"""

from html import escape

from html_page import lead_word
from quantity import in_words
from truth_check import AGREES, counted


def headline(verdicts, checks, others=()):
    """verdicts on distances, checks of generated averages, others: [(failed, cases, words)], such as
    (3, 4, "flows leak into the collision")."""
    checks = counted(checks)
    failed = [words for words in (distances_off(verdicts), averages_off(checks)) if words]
    failed += [f"{bad} of {of} {words}" for bad, of, words in others if bad]
    if failed:
        return lead_word("In short.", f"The generated samples are not exact, and this run is large enough "
                                      f"to show it: {'; '.join(failed)}.")
    passed = []
    if verdicts:
        passed.append(f"{many(len(verdicts), 'distance')} at {floor_of(verdicts)}")
    if checks:
        passed.append(f"{many(len(checks), 'average')} within {AGREES} standard errors")
    if not passed:
        return lead_word("In short.", "Nothing was measured here that could show an error of the "
                                      "generated samples.")
    return lead_word("In short.", f"No check of this run shows an error of the generated samples "
                                  f"({in_words(passed)}). That is no proof that they are exact: it excludes "
                                  "large errors only, and how small an error could have been seen is said "
                                  "below.")


def many(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"


def floor_of(verdicts):
    return "its floor" if len(verdicts) == 1 else "their floors"


def distances_off(verdicts):
    parts = []
    for state in ("above", "below"):
        off = [v for v in verdicts if v.state == state]
        if off:
            parts.append(f"{len(off)} of {many(len(verdicts), 'distance')} "
                         f"{'lies' if len(off) == 1 else 'lie'} {state} {floor_of(off)}")
    return " and ".join(parts)


def averages_off(checks):
    off = [check for check in checks if check.off]
    if not off:
        return ""
    worst = max(off, key=lambda check: abs(check.z))
    return (f"{len(off)} of {many(len(checks), 'average')} {'is' if len(off) == 1 else 'are'} more than "
            f"{AGREES} standard errors off (at most {worst.in_errors}, {escape(worst.name)} of "
            f"{escape(worst.label)}: {worst.deviation})")
