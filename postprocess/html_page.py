"""The pieces of a report page: one HTML file with everything inside, for a phone, a screen without
network, and paper."""

from dataclasses import dataclass
from html import escape
from typing import List

from figure_style import as_data_uri
from quantity import MISSING

CSS = """
:root { --ink: #1d1d1f; --soft: #5c5c62; --line: #d9d9de; --accent: #0072B2; --pale: #eef5fa; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; font: 17px/1.55 Georgia, "DejaVu Serif", serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1, h2, h3, nav, table, figcaption, .small, summary { font-family: system-ui, "Segoe UI", Roboto,
  "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .2rem 0 .3rem; }
h2 { font-size: 1.35rem; margin: 2.8rem 0 .6rem; padding-top: .4rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.08rem; margin: 1.8rem 0 .4rem; }
p, li { max-width: 46rem; }
.small { color: var(--soft); font-size: .88rem; }
.answer { background: var(--pale); border-left: 5px solid var(--accent); padding: .8rem 1.2rem .9rem;
  margin: 1.2rem 0; }
.answer h2 { border: 0; margin: 0 0 .3rem; padding: 0; }
.answer p { margin: .5rem 0; max-width: none; }
nav { font-size: .9rem; margin: .8rem 0; line-height: 1.9; }
nav a { color: var(--accent); margin-right: 1rem; white-space: nowrap; }
.wide { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .86rem; line-height: 1.35; min-width: 20rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, .left { text-align: left; }
thead th { white-space: normal; border-bottom: 2px solid var(--ink); vertical-align: bottom; }
tbody { border-bottom: 1px solid var(--line); }
tbody th { font-weight: 600; vertical-align: top; }
td.merged { text-align: center; }
tr.group:not(:first-child) td { border-top: 1px solid #ececf0; }
tr.quiet td { color: var(--soft); }
caption { caption-side: top; text-align: left; padding-bottom: .4rem; font-weight: 600; }
figure { margin: 1.4rem 0 2rem; }
figure img { display: block; width: 100%; height: auto; }
figcaption { font-size: .92rem; color: #333; max-width: 50rem; margin-top: .5rem; }
dt { font-weight: 600; margin-top: .7rem; }
dd { margin: 0 0 0 1.2rem; max-width: 45rem; }
pre { overflow-x: auto; background: #f6f6f8; padding: .8rem; font-size: .8rem; line-height: 1.4; }
.warning { border-left: 5px solid #D55E00; background: #fdf1e9; padding: .5rem 1rem; }
@media (max-width: 40rem) { body { font-size: 16px; } h1 { font-size: 1.5rem; }
  .wide.picture img { width: 46rem; max-width: none; } }
@page { size: A4; margin: 1.4cm; }
@media print { body { font-size: 10.5pt; } main { max-width: none; padding: 0; } nav { display: none; }
  figure, table, .answer { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .wide { overflow: visible; } table { font-size: 7pt; } th, td { padding: .12rem .22rem; }
  pre { white-space: pre-wrap; } }
"""


@dataclass
class Section:
    anchor: str
    heading: str
    body: str


@dataclass
class Report:
    """What an experiment says of a run. `answer`, `sizes` and the bodies are HTML; `table` is plain
    text. `sizes`: this run's sizes beside those of the experiment at full size; `warning`: what the
    reader has to know before the answer."""

    title: str
    lead: str
    answer: List[str]
    sections: List[Section]
    table: str
    sizes: str = ""
    warning: str = ""


def paragraph(text, kind=None):
    return f'<p class="{kind}">{text}</p>' if kind else f"<p>{text}</p>"


def lead_word(word, text):
    return f"<strong>{word}</strong> {text}" if text else ""


def table(header, rows, caption=None):
    """A table of plain cells. The first column names the row and is not repeated; a column that
    holds nothing but dashes is left out."""
    rows = [tuple(row) for row in rows]
    kept = [i for i in range(len(header)) if any(row[i] not in (MISSING, "") for row in rows)]
    head = "".join(f"<th>{escape(header[i])}</th>" for i in kept)
    body, last = "", None
    for row in rows:
        new = row[0] != last
        last = row[0]
        cells = "".join(f"<td>{escape(row[i] if i > 0 or new else '')}</td>" for i in kept)
        body += ('<tr class="group">' if new else "<tr>") + cells + "</tr>\n"
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{body}</tbody></table></div>\n")


def figure(path, caption, alternative):
    """A PNG inside the page. On a phone it scrolls sideways instead of shrinking to nothing."""
    return (f'<figure><div class="wide picture"><img alt="{escape(alternative, quote=True)}" '
            f'src="{as_data_uri(path)}"></div>\n<figcaption>{caption}</figcaption></figure>\n')


def definitions(pairs):
    return "<dl>" + "".join(f"<dt>{term}</dt><dd>{text}</dd>\n" for term, text in pairs) + "</dl>"


def details(summary, body):
    return f"<details><summary>{escape(summary)}</summary>\n{body}\n</details>\n"


def page(report):
    links = "".join(f'<a href="#{section.anchor}">{escape(section.heading)}</a>'
                    for section in report.sections)
    warning = paragraph(report.warning, "warning") + "\n" if report.warning else ""
    answer = "\n".join(paragraph(sentence) for sentence in report.answer)
    sections = "\n".join(f'<section id="{section.anchor}"><h2>{escape(section.heading)}</h2>\n'
                         f"{section.body}</section>" for section in report.sections)
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(report.title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
            f"<h1>{escape(report.title)}</h1>\n{paragraph(report.lead, 'small')}\n"
            f"{warning}"
            f'<div class="answer"><h2>The answer</h2>\n{answer}\n</div>\n<nav>{links}</nav>\n'
            f"{sections}\n</main>\n</body>\n</html>\n")
