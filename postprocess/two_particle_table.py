"""Table 1 of the two-particle experiment: this run, its floors, the truth and the paper's printed
values, as text, LaTeX, HTML and CSV from one set of cells."""

import csv
import io
import re
from dataclasses import dataclass, replace
from html import escape
from itertools import islice
from textwrap import wrap

import two_particle_truth
from distance_floor import KINDS, distance_and_floor, floor_spread
from plain_table import tex
from quantity import MISSING, count, number, value_only, with_error

# The paper's Table 1 as printed: softening, then the columns.
PAPER_COLUMNS = ("min_r_reference", "mean_r_reference", "min_r_generated", "mean_r_generated",
                 "w2_singular", "lipschitz_max")
PAPER = {
    1e-8: ("0.401", "2.005", "0.077", "1.998", "0.017", "87.6643"),
    0.03: ("0.475", "1.996", "0.148", "1.986", "0.023", "59.1671"),
    0.1: ("0.379", "1.991", "0.180", "1.969", "0.047", "51.1226"),
    0.5: ("0.084", "1.998", "0.155", "2.005", "0.016", "25.2612"),
}

# Two lines of heading above each column.
HEADER = (("min r", "(real)"), ("mean r", "(real)"), ("min r", "(gen)"), ("mean r", "(gen)"),
          ("W2(sing,gen)", "of r"), ("W2(sing,gen)", "sliced"), ("W2(sing,gen)", "exact"),
          ("Lipschitz", "constant"))
TEXT_HEADER = tuple((first.replace("(sing,gen)", ""), second) for first, second in HEADER)
TEXT_WIDTH = 100
RULE_GAP = 2  # spaces between columns of the text table
ERROR = re.compile(r"([\d.]+) ± ([\d.]+)")
BRACKETS = "1.988(12) stands for 1.988 ± 0.012. W2: to the singular reference."


@dataclass(frozen=True)
class Cell:
    text: str
    span: int = 1


@dataclass(frozen=True)
class Row:
    source: str  # "this run", "floor", "truth" or "paper"
    cells: tuple


@dataclass(frozen=True)
class Block:
    label: str
    rows: tuple


def paper_value(case, column):
    """The paper's printed number for a case, or None where the paper has no such case."""
    if two_particle_truth.lookup(case.system) is None:
        return None
    softening = float(case.system["softening"])
    printed = PAPER[1e-8] if is_singular(case) else next(
        (PAPER[key] for key in PAPER if abs(key - softening) <= 1e-9 * key), None)
    return None if printed is None else printed[PAPER_COLUMNS.index(column)]


def is_singular(case):
    return float(case.system["softening"]) <= two_particle_truth.SINGULAR


def towards_singular(case, kind):
    """Distance to the singular reference with its floor; the singular case's own is the same one."""
    found = distance_and_floor(case, kind, singular=True)
    if found is None and is_singular(case):
        found = distance_and_floor(case, kind)
    return found


def make_blocks(cases, labels, verdicts):
    """One block of rows a case. `verdicts`: on the distances to the singular reference."""
    return [Block(label, tuple(block_rows(case, [v for v in verdicts if v.label == label])))
            for case, label in zip(cases, labels)]


def block_rows(case, verdicts):
    state = {verdict.kind: verdict.state for verdict in verdicts}
    mark = {"above": " *", "below": " !"}
    distances = {kind: towards_singular(case, kind) for kind in KINDS}
    yield Row("this run", (
        Cell(value_only(case.metric("min_r_reference"), 3)),
        Cell(with_error(case.metric("mean_r_reference"))),
        Cell(value_only(case.metric("min_r_generated"), 3)),
        Cell(with_error(case.metric("mean_r_generated"))),
        *(Cell(with_error(found and found[0]) + mark.get(state.get(kind), ""))
          for kind, found in distances.items()),
        Cell(value_only(case.metric("lipschitz_max"), significant=4))))
    yield Row("floor", (*[Cell("")] * 4, *(Cell(floor_text(found)) for found in distances.values()),
                        Cell("")))
    truth = two_particle_truth.lookup(case.system)
    if truth is not None:
        yield truth_row(case, truth)
    if paper_value(case, "w2_singular") is not None:
        first = [Cell(paper_value(case, column)) for column in PAPER_COLUMNS[:4]]
        yield Row("paper", (*first, Cell(paper_value(case, "w2_singular") + " (kind not said)", 3),
                            Cell(paper_value(case, "lipschitz_max"))))


def truth_row(case, truth):
    limit = two_particle_truth.w2_of_r(two_particle_truth.singular(), truth)
    mean = Cell(number(truth.mean_r, 4))
    return Row("truth", (Cell(smallest_text(truth, case.metric("min_r_reference"))), mean,
                         Cell(smallest_text(truth, case.metric("min_r_generated"))), mean,
                         Cell("0" if limit == 0.0 else number(limit, 4)), Cell(""), Cell(""),
                         Cell("∞" if is_singular(case) else "")))


def smallest_text(truth, measured):
    """Where the smallest distance among as many independent draws lies."""
    if measured is None or not measured.n:
        return MISSING
    _, low, high = truth.smallest_of(measured.n)
    return f"{low:.2f}–{high:.2f}"


def floor_text(found):
    if found is None:
        return MISSING
    return f"{number(found[1].value, 3)} ± {number(floor_spread(found[1]), 3)}"


def notes(cases):
    """What the rows mean, for below the table. Plain text."""
    sizes = sorted({metric.n for case in cases for metric in [case.metric("min_r_generated")]
                    if metric is not None and metric.n})
    pairs = sorted({found[1].n for case in cases for kind in KINDS
                    for found in [towards_singular(case, kind)] if found})
    lines = ["this run: value ± one standard error; real = reference samples, gen = generated samples"
             + (f" (smallest of {' or '.join(map(count, sizes))})" if sizes else "") + ".",
             "W2(sing, gen): distance of the generated samples to the singular reference, all three "
             "kinds; the paper does not say which it printed.",
             "floor: the same distance between independent singular references, mean ± standard "
             "deviation" + (f" over {' or '.join(map(str, pairs))} pairs" if pairs else "")
             + "; * above, ! below the floor's interval (1% over all of the table). No mark is no proof: see "
               "the report for the errors that a distance could have missed."]
    if any(two_particle_truth.lookup(case.system) is not None for case in cases):
        lines.append("truth: quadrature; for min r where the smallest of as many independent draws lies "
                     "(5–95%); for W2 of r what a perfect flow would have, since the potentials "
                     "differ.")
    return lines


def as_text(title, blocks, lines):
    """The table for a terminal of TEXT_WIDTH columns: errors in brackets behind the digits that they belong
    to, a merged cell centred under its columns."""
    rows = [replace(row, cells=tuple(replace(cell, text=in_brackets(cell.text)) for cell in row.cells))
            for block in blocks for row in block.rows]
    widths = [max(map(len, names)) for names in TEXT_HEADER]
    for row in rows:
        for column, cell in zip(columns_of(row), row.cells):
            if cell.span == 1:
                widths[column] = max(widths[column], len(cell.text))
    source = max(len(row.source) for row in rows)
    heading = [" " * source + "".join(" " * RULE_GAP + names[line].rjust(width)
                                      for names, width in zip(TEXT_HEADER, widths)) for line in (0, 1)]
    rule = "-" * len(heading[0])
    text, rows = [title, "", *heading, rule], iter(rows)
    for block in blocks:
        text.append(block.label)
        text += [(row.source.ljust(source) + text_cells(row, widths)).rstrip()
                 for row in islice(rows, len(block.rows))]
        text.append(rule)
    notes = [line for note in (BRACKETS, *lines)
             for line in wrap(note, TEXT_WIDTH, subsequent_indent="  ")]
    return "\n".join(text + [""] + notes) + "\n"


def in_brackets(text):
    """'1.988 ± 0.012' as '1.988(12)'."""
    match = ERROR.search(text)
    if match is None:
        return text
    digits = match.group(2).replace(".", "").lstrip("0") or "0"
    return text[:match.start()] + f"{match.group(1)}({digits})" + text[match.end():]


def columns_of(row):
    """First column of each cell."""
    start, columns = 0, []
    for cell in row.cells:
        columns.append(start)
        start += cell.span
    return columns


def text_cells(row, widths):
    text = ""
    for column, cell in zip(columns_of(row), row.cells):
        width = sum(widths[column:column + cell.span]) + RULE_GAP * (cell.span - 1)
        text += " " * RULE_GAP + (cell.text.center(width) if cell.span > 1 else cell.text.rjust(width))
    return text


def as_html(blocks, lines, caption):
    head = "".join(f"<th>{'<br>'.join(map(escape, names))}</th>"
                   for names in (("case",), ("",), *HEADER))
    body = ""
    for block in blocks:
        body += "<tbody>\n"
        for i, row in enumerate(block.rows):
            first = f'<th rowspan="{len(block.rows)}">{escape(block.label)}</th>' if i == 0 else ""
            cells = "".join(f'<td class="merged" colspan="{cell.span}">{escape(cell.text)}</td>'
                            if cell.span > 1 else f"<td>{escape(cell.text)}</td>"
                            for cell in row.cells)
            quiet = "" if row.source == "this run" else ' class="quiet"'
            body += f'<tr{quiet}>{first}<td class="left">{row.source}</td>{cells}</tr>\n'
        body += "</tbody>\n"
    small = "".join(f'<p class="small">{escape(line)}</p>' for line in lines)
    return (f'<div class="wide"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr>'
            f"</thead>\n{body}</table></div>\n{small}")


def as_tex(title, blocks, lines):
    """A LaTeX table; needs the package booktabs."""
    names = ["min $r$ (real)", "mean $r$ (real)", "min $r$ (gen)", "mean $r$ (gen)",
             "of $r$", "sliced", "exact", "Lip"]
    text = ["% needs \\usepackage{booktabs}", "\\begin{table}", "\\centering\\footnotesize",
            f"\\caption{{{tex(title)}. {tex(' '.join(lines))}}}",
            "\\begin{tabular}{ll" + "r" * len(HEADER) + "}", "\\toprule",
            " & & & & & & \\multicolumn{3}{c}{$W_2(\\mathrm{sing},\\mathrm{gen})$} & \\\\",
            " & & " + " & ".join(names) + " \\\\"]
    for block in blocks:
        text.append("\\midrule")
        for i, row in enumerate(block.rows):
            cells = [f"\\multicolumn{{{cell.span}}}{{c}}{{{tex(cell.text)}}}" if cell.span > 1
                     else tex(cell.text) for cell in row.cells]
            text.append(" & ".join([tex(block.label) if i == 0 else "", tex(row.source), *cells])
                        + " \\\\")
    return "\n".join(text + ["\\bottomrule", "\\end{tabular}", "\\end{table}"]) + "\n"


def as_csv(cases):
    """Long form, one number a line, for programs."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["case", "softening", "quantity", "value", "error", "n", "floor_mean",
                     "floor_spread", "floor_pairs", "truth", "paper"])
    for case in cases:
        truth = two_particle_truth.lookup(case.system)
        for column in PAPER_COLUMNS:
            if column != "w2_singular":
                true = truth.mean_r if truth is not None and column.startswith("mean_r") else None
                writer.writerow(csv_row(case, column, case.metric(column), None, true,
                                        paper_value(case, column)))
        for kind in KINDS:
            found = towards_singular(case, kind)
            limit = None if truth is None or kind != "r" else two_particle_truth.w2_of_r(
                two_particle_truth.singular(), truth)
            writer.writerow(csv_row(case, f"w2_{kind}_singular", found and found[0],
                                    found and found[1], limit, paper_value(case, "w2_singular")))
    return out.getvalue()


def csv_row(case, quantity, measured, floor, truth, paper):
    cells = [case.name, case.system["softening"], quantity]
    cells += [None] * 3 if measured is None else [measured.value, measured.error, measured.n]
    cells += [None] * 3 if floor is None else [floor.value, floor_spread(floor), floor.n]
    return ["" if cell is None else cell for cell in cells + [truth, paper]]
