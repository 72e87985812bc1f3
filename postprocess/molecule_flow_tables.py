"""Tables of molecular flows: the paper's Table 2 and its distance of section 6.2, bounds, energies, bonds,
chirality, costs."""

import molecule_bounds
import molecule_distances as distances
import molecule_losses as losses
import molecule_paper as paper
import plain_table
from html_page import paragraph, table
from quantity import (MISSING, Quantity, count, number, percent, short, short_with_error,
                      with_error)
from run_tables import rate, share

TERMS = (("bond", "bonds"), ("angle", "angles"), ("torsion", "torsions"), ("nonbonded", "non-bonded"),
         ("solvation", "solvation"), ("", "all"))
# Rows of Table 2: metric without its set, name.
ROWS_2 = (("min_r_nonbonded", "min r (nm)"), ("r_nonbonded_q001", "min r, 0.1% quantile (nm)"),
          ("lj_max", "max U (kJ/mol)"), ("lj_q999", "U, 99.9% quantile (kJ/mol)"),
          ("lj_mean", "mean U (kJ/mol)"), ("lj_median", "median U (kJ/mol)"))
UNSETTLED = 0.2  # error of a mean over the mean, from which its tail is too heavy for a mean


def table_2(subjects, verdicts, papers):
    """(header, rows) of plain cells."""
    first = subjects[0].case
    header = ["", "reference", *(s.label for s in subjects), *(paper.HEADINGS if papers else ())]
    rows = []
    for metric, name in ROWS_2:
        cells = [cell_2(first.metric(f"{metric}_reference"))]
        cells += [cell_2(s.case.metric(f"{metric}_generated")) for s in subjects]
        rows.append([name, *cells, *(printed_cells(metric) if papers else ())])
    found = [distances.find(verdicts, s.label, "pca") for s in subjects]
    if any(found) or any(s.case.metric("w2_pca") for s in subjects):
        floors = [v for v in found if v]
        rows.append(["PCA W2", f"floor {distances.floor_text(floors[0])}" if floors else MISSING,
                     *(with_error(s.case.metric("w2_pca")) + mark(v) for s, v in zip(subjects, found)),
                     *(printed_cells("w2_pca") if papers else ())])
        rows.append(["PCA W2 beyond floor", MISSING,
                     *(distances.excess_of(v).text if v else MISSING for v in found),
                     *([MISSING] * 3 if papers else ())])
    return header, [row for row in rows if any(cell != MISSING for cell in row[1:len(subjects) + 2])]


def mark(verdict):
    return {"above": " *", "below": " !"}.get(verdict.state if verdict else None, "")


def cell_2(metric):
    return MISSING if metric is None else short_with_error(metric, 4 if metric.unit == "nm" else 2)


def printed_cells(metric):
    return [paper.printed(metric, column) or MISSING for column in paper.COLUMNS]


def notes_2(subjects, papers):
    first = subjects[0].case
    sizes = [first.size("lj_mean_reference"), *(s.case.size("lj_mean_generated") for s in subjects)]
    made = sorted({size for size in sizes[1:] if size})
    lines = ["U: Lennard-Jones energy of the paper, σ = 0.17 nm and 1 kJ/mol for all non-bonded pairs. "
             "Extremes depend on how many samples they are taken over: "
             f"{count(sizes[0])} of the reference, {' or '.join(map(count, made)) or 'unknown'} of each flow.",
             "PCA W2: exact, of two principal components of the aligned coordinates at unit variance; floor: "
             "mean ± standard deviation over pairs of halves of the reference's trajectories; * above, ! below "
             "its interval."]
    if papers:
        lines.append("Paper: its Table 2 as printed, on its own data; its PCA W2 has no floor beside it.")
    return lines


def table_of_angles(subjects, verdicts, papers, drawn):
    """W2 in degrees: the paper's protocol, then all points. drawn: {(label, kind): (mean, s.d., repeats)} of
    subsamples that were drawn here."""
    header = ["flow", "points", "plane ± s.e.", "floor ± s.d.", "torus ± s.e.", "floor ± s.d.",
              *(("paper, kind not said",) if papers else ())]
    rows = []
    for subject in subjects:
        for ending, few in (("_subsample_1000", True), ("", False)):
            cells = []
            for kind in ("flat_deg", "torus_deg"):
                found = distances.find(verdicts, subject.label, kind + ending)
                cells += [with_error(subject.case.metric(f"w2_{kind}{ending}"), 2) + mark(found),
                          distances.floor_text(found) if found else MISSING]
            size = subject.case.size(f"w2_flat_deg{ending}")
            if any(cell != MISSING for cell in cells):
                rows.append([subject.label, count(size), *cells,
                             *((paper.SUBSAMPLE_W2 + "°" if few else MISSING,) if papers else ())])
        own = [drawn.get((subject.label, kind)) for kind in ("flat_deg", "torus_deg")]
        if all(own):
            cells = [cell for mean, deviation, _ in own
                     for cell in (f"{number(mean, 1)}, s.d. {number(deviation, 1)}", MISSING)]
            rows.append([subject.label, f"{count(paper.POINTS)}, drawn by the report", *cells,
                         *((paper.SUBSAMPLE_W2 + "°",) if papers else ())])
    return header, rows


def notes_of_angles(drawn, papers):
    lines = ["Exact W2 of (φ, ψ) in degrees, as numbers in the plane and with angles that wrap on the torus. "
             "The paper draws 1,000 points of each set; a row with 1,000 points is a mean over 50 such draws, "
             "its error that of this mean. Floor: the same between halves of the reference's own trajectories; "
             "* above, ! below its interval."]
    if papers:
        lines.append(f"Paper: {paper.SUBSAMPLE_W2}° between 1,000 points of each set; it does not say whether "
                     "its angles wrap, nor by how much draws differ.")
    if drawn:
        repeats = next(iter(drawn.values()))[2]
        lines.append(f"“Drawn by the report”: {repeats} draws from all frames, assigned by SciPy: mean, and "
                     "standard deviation of one draw, which is what a single printed number swings by.")
    return lines


def as_html(caption, header, rows, notes):
    return table(header, rows, caption) + "".join(paragraph(note, "small") for note in notes)


def bounds_table(subjects, verdicts):
    rows = []
    for subject in subjects:
        judgements = molecule_bounds.judge(subject.case)
        for judgement in judgements:
            bound = judgement.bound
            rows.append((subject.label, losses.described(subject), bound.name,
                         short_with_error(judgement.reference, 4), short_with_error(judgement.generated, 4),
                         judgement.difference_text, f"± {bound.limit_text}", judgement.verdict))
        pca = distances.find(verdicts, subject.label, "pca")
        if pca is not None:
            rows.append((subject.label, losses.described(subject), "PCA W2",
                         f"floor {distances.floor_text(pca)}",
                         with_error(Quantity(pca.value, pca.error)), distances.excess_of(pca).text,
                         f"≤ {number(pca.floor + pca.margin, 2)}", distances.state_words(pca)))
    if not rows:
        return paragraph("No bound could be looked at: this run has no conformations of both sets.")
    return table(("case", "loss", "quantity", "reference ± s.e.", "generated ± s.e.", "difference ± s.e.",
                  "bound", "verdict"), rows, "What each loss repairs") + paragraph(
        f"“Within its error”: the difference is closer to the bound than {molecule_bounds.SURE:g} standard "
        "errors, so another run may fall on its other side.", "small")


def energies_table(subjects):
    """Means of the force field's terms and their differences from the reference."""
    rows = []
    for term, name in TERMS:
        metric = f"energy_{term}_mean" if term else "energy_mean"
        reference = subjects[0].case.metric(f"{metric}_reference")
        rows.append((name, "reference", short_with_error(reference), MISSING, MISSING, ""))
        for subject in subjects:
            generated = subject.case.metric(f"{metric}_generated")
            own = subject.case.metric(f"{metric}_reference")
            if generated is None:
                continue
            off = MISSING if own is None else short_with_error(Quantity(
                generated.value - own.value, ((generated.error or 0.0) ** 2 + (own.error or 0.0) ** 2) ** 0.5))
            rows.append((name, subject.label, short_with_error(generated), off,
                         short_with_error(subject.case.metric(f"{metric}_reweighted")), remark(generated)))
    rows += median_rows(subjects)
    return table(("energy (kJ/mol)", "samples", "mean ± s.e.", "difference ± s.e.", "reweighted ± s.e.",
                  "remark"), rows, "Energies by term, implicit solvent")


def median_rows(subjects):
    rows = []
    for metric, name in (("energy_median", "all, median"), ("energy_q999", "all, 99.9% quantile")):
        rows.append((name, "reference", short_with_error(subjects[0].case.metric(f"{metric}_reference")),
                     MISSING, MISSING, ""))
        rows += [(name, s.label, short_with_error(s.case.metric(f"{metric}_generated")), MISSING, MISSING, "")
                 for s in subjects]
    return rows


def remark(metric):
    if metric.error and metric.error > UNSETTLED * abs(metric.value):
        return "carried by a few samples: no mean"
    return ""


def structure_table(subjects, verdicts, worst):
    """Bonds, angles and handedness. worst: {label: (bond, angle)}, names and deviations in words."""
    rows = []
    for s in subjects:
        row = [s.label]
        for kind in ("bond_lengths", "bond_angles"):
            found = distances.find(verdicts, s.label, kind)
            row += [with_error(s.case.metric(f"w2_{kind}"), 4),
                    distances.floor_text(found) if found else MISSING]
        row += list(worst.get(s.label, (MISSING, MISSING)))
        row += [mirrored(s.case.metric(f"fraction_mirrored_{of}")) for of in ("reference", "generated")]
        rows.append(row)
    return table(("case", "bonds, W2 (nm)", "floor ± s.d.", "angles, W2 (°)", "floor ± s.d.", "worst bond",
                  "worst angle", "mirrored, reference", "mirrored, generated"), rows,
                 "Bonds, angles and handedness") + paragraph(
        "W2: root of the mean squared one-dimensional W2 over all bonds or angles. Worst: the largest W2 over "
        "the reference's standard deviation of the same bond or angle. Mirrored: a stereocentre of the other "
        "hand than the structure the deck starts from.", "small")


def mirrored(metric):
    if metric is None:
        return MISSING
    if metric.value == 0.0 and metric.n:
        return f"none of {count(metric.n)}"
    return f"{percent(metric.value)} ± {percent(metric.error or 0.0)}"


def lipschitz_table(subjects):
    names = ("lipschitz_max", "lipschitz_max_sampled", "lipschitz_p99", "inverse_lipschitz_max",
             "inverse_lipschitz_max_sampled")
    rows = [(s.label, *(short(s.case.value(name)) for name in names), count(s.case.size("lipschitz_max")))
            for s in subjects if s.case.metric("lipschitz_max")]
    return table(("case", "largest, by ascent", "largest of the points", "99% of points below",
                  "inverse: by ascent", "inverse: of the points", "points"), rows,
                 "Lipschitz constants of the map and its inverse") if rows else ""


def training_table(subjects):
    rows = []
    for s in subjects:
        case = s.case
        rows.append((s.label, losses.described(s), str(case.setting("flow.coordinates") or MISSING),
                     count(case.value("parameters")), count(case.value("epochs")),
                     count(case.value("best_epoch")), with_error(case.metric("nll_validation"), 4),
                     *(count(case.value(name)) for name in ("spikes", "rewinds", "skipped_steps"))))
    return table(("case", "loss", "coordinates", "parameters", "epochs", "epoch kept",
                  "held-out NLL (nats)", "spikes", "rewinds", "steps left out"), rows, "Training")


def cost_table(subjects):
    rows = [(s.label, *(rate(s.case.timing(name)) for name in ("training_s", "training_samples_per_s")),
             share(s.case.timing("training_fraction_of_sgemm")),
             *(rate(s.case.timing(name)) for name in ("generation_s", "generation_samples_per_s",
                                                      "sampling_s", "distances_s"))) for s in subjects]
    return table(("case", "training (s)", "trained samples/s", "share of sgemm rate", "generation (s)",
                  "generated samples/s", "reference (s)", "distances (s)"), rows, "Cost")


def recomputed_table(rows):
    """rows: [(case, what, from the frames, Quantity from results.json)]."""
    cells = [(label, what, short(value, significant=7), short(own.value, significant=7),
              number(abs(value / own.value - 1.0), significant=1) if own.value else MISSING)
             for label, what, value, own in rows]
    return table(("case", "quantity", "from the frames", "results.json", "relative difference"), cells,
                 "Recomputed from the frames") if cells else ""


def written(title, header, rows, notes):
    """{file ending: text}."""
    return {"txt": plain_table.as_text(title, header, rows, notes),
            "tex": plain_table.as_tex(title, header, rows, notes), "csv": plain_table.as_csv(header, rows)}


