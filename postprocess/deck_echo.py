"""The deck as used, which a run writes into deck.cfg: settings that results.json does not repeat."""

import re

TOKEN = re.compile(r'\s+|#[^\n]*|(?P<string>"(?:[^"\\]|\\.)*")|(?P<sign>[{}()\[\]:=;,])'
                   r'|(?P<word>[^\s{}()\[\]:=;,"#]+)')


class DeckSettings:
    """Settings by case name and path, as ("eps-0.1", "training.clip_norm")."""

    def __init__(self, text):
        try:
            self.base = read_group(tokens_of(text))
        except (ValueError, IndexError):
            self.base = {}  # an odd deck: the report says less, the run is none the worse
        cases = self.base.get("cases")
        self.cases = {case.get("name"): case for case in (cases if isinstance(cases, list) else ())
                      if isinstance(case, dict)}

    def get(self, case, path):
        """The value as it holds for the case: number, bool, text or list; None where it is not said."""
        own = lookup(self.cases.get(case, {}), path)
        return lookup(self.base, path) if own is None else own


def lookup(tree, path):
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def tokens_of(text):
    """The words and signs of a deck, the next one last."""
    found, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"not a deck at character {at}")
        found += [match.group(match.lastgroup)] if match.lastgroup else []
        at = match.end()
    return found[::-1]


def read_group(tokens, end=None):
    """Settings up to the closing sign, or to the end of the deck."""
    settings = {}
    while tokens and tokens[-1] != end:
        name = tokens.pop()
        if tokens.pop() not in (":", "="):
            raise ValueError(f"no value of {name}")
        settings[name] = read_value(tokens)
        while tokens and tokens[-1] in (";", ","):
            tokens.pop()
    if end is not None:
        tokens.pop()
    return settings


def read_value(tokens):
    token = tokens.pop()
    if token == "{":
        return read_group(tokens, "}")
    if token in ("(", "["):
        return read_list(tokens, ")" if token == "(" else "]")
    return scalar(token)


def read_list(tokens, end):
    items = []
    while tokens[-1] != end:
        items.append(read_value(tokens))
        if tokens[-1] == ",":
            tokens.pop()
    tokens.pop()
    return items


def scalar(token):
    if token.startswith('"'):
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    if token.lower() in ("true", "false"):
        return token.lower() == "true"
    return float(token.rstrip("L"))
