"""A table of plain cells as text for a terminal, as LaTeX and as CSV."""

import csv
import io
from textwrap import wrap

TEXT_WIDTH = 100
GAP = "  "
HEADING = 12  # letters of a heading that stay on one line
SUPERSCRIPTS = dict(zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
COMMANDS = (("\\", "\\textbackslash "), ("%", "\\%"), ("&", "\\&"), ("_", "\\_"), ("#", "\\#"),
            ("±", "$\\pm$"), ("ε", "$\\varepsilon$"), ("∞", "$\\infty$"), ("β", "$\\beta$"),
            ("λ", "$\\lambda$"), ("W2", "$W_2$"), ("–", "--"), ("·", "$\\cdot$"), ("−", "$-$"),
            ("\u2009", "\\,"), ("φ", "$\\varphi$"), ("ψ", "$\\psi$"), ("°", "$^\\circ$"), ("√", "$\\surd$"),
            ("R̂", "$\\hat R$"))


def as_text(title, header, rows, notes=()):
    """Columns are as wide as their widest cell; headings that are wider are broken at blanks."""
    columns = list(zip(*rows))
    widths = [max([len(cell) for cell in column] + [len(word) for word in name.split()]
                  + [min(len(name), HEADING)]) for name, column in zip(header, columns)]
    heads = [wrap(name, width, break_long_words=False) or [""] for name, width in zip(header, widths)]
    lines = [title, ""]
    for row in range(max(map(len, heads))):
        lines.append(aligned([head[row] if row < len(head) else "" for head in heads], widths))
    rule = "-" * len(aligned([""] * len(widths), widths, strip=False))
    lines += [rule, *(aligned(row, widths) for row in rows), rule, ""]
    lines += [line for note in notes for line in wrap(note, TEXT_WIDTH, subsequent_indent="  ")]
    return "\n".join(lines).rstrip() + "\n"


def aligned(cells, widths, strip=True):
    text = GAP.join(cell.ljust(width) if i == 0 else cell.rjust(width)
                    for i, (cell, width) in enumerate(zip(cells, widths)))
    return text.rstrip() if strip else text


def as_tex(title, header, rows, notes=()):
    """Needs the package booktabs."""
    text = ["% needs \\usepackage{booktabs}", "\\begin{table}", "\\centering\\footnotesize",
            f"\\caption{{{tex(title)}. {tex(' '.join(notes))}}}",
            "\\begin{tabular}{l" + "r" * (len(header) - 1) + "}", "\\toprule",
            " & ".join(map(tex, header)) + " \\\\", "\\midrule"]
    text += [" & ".join(map(tex, row)) + " \\\\" for row in rows]
    return "\n".join(text + ["\\bottomrule", "\\end{tabular}", "\\end{table}"]) + "\n"


def tex(text):
    for sign, command in COMMANDS:
        text = text.replace(sign, command)
    for sign, digit in SUPERSCRIPTS.items():
        text = text.replace(sign, f"$^{digit}$")
    return text


def as_csv(header, rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    return out.getvalue()
