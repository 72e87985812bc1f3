"""The report of flows of a molecule (paper sections 6.2 and 6.3): which loss repairs what, distances beside
floors, the reference's own convergence."""

from html import escape

import numpy as np
from scipy.optimize import linear_sum_assignment

import any_system
import method_notes
import molecule
import molecule_conformations
import molecule_distances
import molecule_flow_answer
import molecule_flow_pictures as pictures
import molecule_flow_tables as tables
import molecule_paper as paper
import molecule_subject
import run_tables
import truth_check
from html_page import Report, Section, definitions, paragraph
from quantity import number, short
from run_folder import write_whole

POPULATIONS = (("prob_alpha", "P(α)"), ("prob_phi_positive", "P(φ > 0)"))
DRAWS = 20  # of 1,000 points each, from sets that have far more
FEWEST = 5 * paper.POINTS
SEED = 6


def report(run, folder) -> Report:
    labels = [case.name for case in run.cases]
    subjects = molecule_subject.subjects_of(run, labels)
    verdicts = molecule_distances.judge(run.cases, labels)
    groups = groups_of([s for s in subjects if not s.angular and s.generated])
    angular = [s for s in subjects if s.angular and s.generated]
    tabled = [*tables_2(groups, verdicts), *tables_of_angles(angular, verdicts)]
    for stem, title, header, rows, notes in tabled:
        for ending, text in tables.written(title, header, rows, notes).items():
            write_whole(run.folder / f"{stem}.{ending}", text)
    sections = [
        *(Section(stem, title.partition(".")[0], tables.as_html(title, header, rows, notes))
          for stem, title, header, rows, notes in tabled),
        *repairs_section(groups, verdicts),
        Section("figures", "Figures", pictures.of_all(run, subjects, groups, verdicts, folder / "figures")),
        Section("distances", "Distances and their floors",
                molecule_distances.distances_table(run.cases, labels, verdicts)),
        Section("averages", "Populations and energies", averages(run.cases, labels, groups)),
        *structure_section(groups, verdicts),
        Section("training", "Training, maps and cost", training(run.cases, labels, subjects)),
        Section("reference", "The reference: can it be trusted?", reference(run, labels, folder)),
        Section("method", "What the numbers mean", method(run.cases, labels, subjects, verdicts)),
    ]
    return Report(title=f"Flows of a molecule: “{escape(run.name)}”", lead=lead(run, subjects),
                  answer=molecule_flow_answer.answer(run, subjects, groups, verdicts),
                  sections=sections, table=terminal(tabled, run, labels))


def groups_of(subjects):
    """Subjects that share a reference, in the order of the deck."""
    groups = {}
    for subject in subjects:
        mark = molecule_subject.fingerprint(subject.case, molecule_subject.REFERENCE)
        groups.setdefault(mark or subject.label, []).append(subject)
    return list(groups.values())


def lead(run, subjects):
    case = run.cases[0]
    coordinates = sorted({str(s.case.setting("flow.coordinates") or "cartesian") for s in subjects})
    return (f"{escape(str(case.system.get('topology', '')).rsplit('/', 1)[-1])} at "
            f"{number(float(case.system.get('temperature_K') or 300.0))} K; flows in coordinates "
            f"{escape(' and '.join(coordinates))}; cases {escape(', '.join(s.label for s in subjects))}; seed "
            f"{escape(run.provenance.get('seed', 'not kept'))}.")


def terminal(tabled, run, labels):
    if tabled:
        return "\n".join(tables.written(title, header, rows, notes)["txt"]
                         for _, title, header, rows, notes in tabled)
    return any_system.metrics_text(run.cases, labels)


# Tables that stand in the paper. Each is (file, title, header, rows, notes).

def tables_2(groups, verdicts):
    made = []
    for group in groups:
        papers = paper.are_papers(group)
        header, rows = tables.table_2(group, verdicts, papers)
        if rows:
            ending = "" if group is groups[0] else f"-{group[0].label}"
            made.append((f"table2{ending}", "Table 2. Collisions and Lennard-Jones energies", header, rows,
                         tables.notes_2(group, papers)))
    return made


def tables_of_angles(angular, verdicts):
    papers = paper.are_papers(angular)
    drawn = {(s.label, kind): found for s in angular for kind, found in draws(s).items()}
    header, rows = tables.table_of_angles(angular, verdicts, papers, drawn)
    if not rows:
        return []
    return [("w2-angles", "W2 of φ and ψ, in degrees", header, rows, tables.notes_of_angles(drawn, papers))]


def draws(subject):
    """The paper's protocol, by SciPy: {kind: (mean, standard deviation of one draw, draws)}."""
    if not {"reference", "generated"} <= subject.angles.keys():
        return {}
    sets = [subject.angles[of][0].T for of in ("reference", "generated")]
    if min(map(len, sets)) < FEWEST:
        return {}
    random, found = np.random.default_rng(SEED), {"flat_deg": [], "torus_deg": []}
    for _ in range(DRAWS):
        a, b = (x[random.choice(len(x), paper.POINTS, replace=False)] for x in sets)
        apart = a[:, None] - b[None]
        for kind, way in (("flat_deg", apart), ("torus_deg", (apart + 180.0) % 360.0 - 180.0)):
            squares = np.sum(way ** 2, axis=2)
            found[kind].append(np.sqrt(squares[linear_sum_assignment(squares)].mean()))
    return {kind: (float(np.mean(values)), float(np.std(values, ddof=1)), DRAWS)
            for kind, values in found.items()}


def repairs_section(groups, verdicts):
    if not groups:
        return []
    return [Section("repairs", "What each loss repairs",
                    "".join(tables.bounds_table(group, verdicts) for group in groups))]


# Sections.

def averages(cases, labels, groups):
    checks = truth_check.checks_of(cases, labels, POPULATIONS, lambda case: {})
    body = truth_check.check_table(checks, "Populations of basins") if checks else ""
    body += "".join(tables.energies_table(group) for group in groups)
    return body or paragraph("No average of generated samples was measured.")


def structure_section(groups, verdicts):
    if not groups:
        return []
    body = "".join(tables.structure_table(group, verdicts, worst(group)) for group in groups)
    return [Section("structure", "Bonds, angles and handedness", body)]


def worst(group):
    """{label: (bond, angle)}, the furthest of each case with its deviation."""
    found = {}
    for label, kinds in pictures.deviations(group).items():
        topology = next(s.topology for s in group if s.label == label)
        names = [topology.name(each) for each in (topology.bonds[np.argmax(kinds["bonds"])],
                                                  topology.angles[np.argmax(kinds["angles"])])
                 ] if len(kinds["angles"]) else [topology.name(topology.bonds[np.argmax(kinds["bonds"])]), ""]
        found[label] = tuple(f"{name} ({short(float(kinds[kind].max()), significant=2)} s.d.)" if name else ""
                             for name, kind in zip(names, ("bonds", "angles")))
    return found


def training(cases, labels, subjects):
    return (tables.training_table(subjects) + tables.lipschitz_table(subjects)
            + run_tables.weights(cases, labels) + tables.cost_table(subjects))


def reference(run, labels, folder):
    """Each reference once, however many flows have been trained on it."""
    own = molecule_subject.references(run.cases, labels)
    cases, names = [case for case, _ in own], [label for _, label in own]
    return (run_tables.diagnostics(cases, names) + molecule.sections_of(cases, names, folder / "figures"))


def method(cases, labels, subjects, verdicts):
    rows = [(s.label, *row) for s in subjects for row in molecule_conformations.recomputed(s.case, s.sets)]
    return (definitions(OWN_TERMS) + method_notes.notes(cases, [(verdicts, "against own references")], ())
            + recomputed(rows) + run_tables.all_metrics(cases, labels))


def recomputed(rows):
    if not rows:
        return paragraph("Lennard-Jones energies and shortest distances were not recomputed from the frames: "
                         "the topology or the frames are not there, or the molecule is too "
                         "large to take all of them.")
    most = max(abs(value / own.value - 1.0) for _, _, value, own in rows if own.value)
    return paragraph("Recomputed from the frames by the report, in double precision and by code of its own: "
                     f"mean Lennard-Jones energies and smallest distances, to within "
                     f"{number(most, significant=1)} "
                     "of those in results.json.") + tables.recomputed_table(rows)


OWN_TERMS = (
    ("min r", "Smallest distance of two atoms of a configuration more than "
     "<code>system.nonbonded_beyond_bonds</code> bonds apart. Its 0.1% quantile, unlike its minimum over all "
     "samples, does not depend on how many there are."),
    ("LJ energy", "Σ 4·((σ/r)¹² − (σ/r)⁶) kJ/mol over those pairs, σ = 0.17 nm: the paper's probe of "
     "collisions, not the force field's energy. One sample in a thousand with r = 0.04 nm makes its mean ten "
     "thousands: hence the 99.9% quantile and the median beside it."),
    ("Beyond the floor", "√(W2² − floor²), with the error of W2 and the swing of the floor from pair to pair, "
     "of which the distance has one draw. Where W2² is less than two of its errors above the floor's square, a "
     "range from 0 is given."),
    ("Floors of molecules", "Between random halves of the reference's trajectories (or blocks of frames, where "
     "there are fewer than six): new trajectories would cost as much as the reference. The pairs share frames, "
     "so that the spread over them is somewhat too small."),
)
