"""Figures of molecular flows with their captions."""

from html import escape

import numpy as np

import molecule_angle_figures as angles
import molecule_flow_figures as figures
import molecule_topology
import run_figures
import run_tables
from html_page import figure

FEW = 3  # cases whose densities are told apart in one view
QUANTILES = np.linspace(0.0005, 0.9995, 1000)


def of_all(run, subjects, groups, verdicts, folder):
    return (of_angles(subjects, folder)
            + "".join(of_conformations(group, folder if group is groups[0] else folder / group[0].label)
                      for group in groups)
            + of_metrics(run, subjects, verdicts, folder))


def of_angles(subjects, folder):
    shown = [s for s in subjects if {"reference", "generated"} <= s.angles.keys()]
    body = ""
    for k, residue in enumerate(shown[0].residues if shown else ()):
        ending, which = (f"-{residue}", f", residue {escape(residue)}") if residue else ("", "")
        body += figure(angles.scatter(shown, k, folder, f"figure3{ending}"), (
            f"<strong>Figure 3{which}. True and generated φ, ψ.</strong> Every point is a frame of the "
            "reference (blue) or a generated sample."), f"Scatter plots of phi and psi{which}")
        body += figure(angles.surfaces(shown, k, folder, f"free-energy{ending}"), (
            f"<strong>Free energy{which}.</strong> F = −kT ln p of reference and generated samples, zero at the "
            "lowest bin, white where nothing is. Right: by how much it is higher in the generated samples, "
            f"grey where either has fewer than {angles.LEAST} samples in a bin; kT is 2.5 kJ/mol at 300 K."),
            f"Free energies over phi and psi{which}")
        if len(shown) <= FEW:
            body += figure(angles.marginals(shown, k, folder, f"angles{ending}"), (
                f"<strong>Densities of φ and ψ{which}.</strong> On a logarithmic axis, so that rare regions are "
                "seen."), f"Densities of phi and psi{which}")
    return body


def of_conformations(group, folder):
    both = with_pairs(group)
    body = ""
    if both:
        beyond = both[0].case.system.get("nonbonded_beyond_bonds") or molecule_topology.BEYOND
        body += figure(figures.shortest(both, folder), (
            f"<strong>Figure 4a. Shortest non-bonded distance of each sample</strong> (pairs more than {beyond} "
            "bonds apart). Left its density, right the share of samples below; a curve begins, with a dot, at "
            "its smallest distance. Samples left of the reference's curve are collisions."),
            "Distribution of the shortest non-bonded distance")
    projected = [s for s in group if s.points]
    if projected:
        body += figure(figures.projections(projected, folder), (
            "<strong>Figure 4b. Two principal components</strong> of the reference's aligned coordinates at "
            "unit variance; the reference lies in grey behind the generated samples. “Outside”: samples beyond "
            "the view."), "Projections on two principal components")
    if both:
        body += figure(figures.lennard_jones(both, folder), energy_caption(
            "Lennard-Jones energy", "The paper's, over all non-bonded pairs."), "Lennard-Jones energies")
    with_energy = [s for s in group if {"reference", "generated"} <= s.energy.keys()]
    if with_energy:
        body += figure(figures.potential(with_energy, folder), energy_caption(
            "Potential energy", "Of the force field with its solvent."), "Potential energies")
    path = figures.terms(group, folder)
    if path:
        body += figure(path, "<strong>Energies by term.</strong> Mean of the generated samples less that of the "
                       "reference, with one standard error, on an axis that is linear up to 10 kJ/mol and "
                       "logarithmic beyond.", "Differences of mean energies by term")
    found = deviations(group)
    if found:
        body += figure(figures.internal([s for s in group if s.label in found], found, folder), (
            "<strong>Bonds and angles.</strong> Above, the one-dimensional W2 of each from the reference over "
            f"its standard deviation there. Below, densities of the {figures.WORST} bonds and angles with the "
            "largest median over the cases; black is the reference."), "Deviations of bonds and angles")
    return body


def with_pairs(group):
    """Those with both sets and non-bonded pairs in them."""
    both = [s for s in group if {"reference", "generated"} <= s.sets.keys()]
    return [s for s in both if not np.isnan(s.sets["reference"].shortest).any()]


def energy_caption(name, what):
    return (f"<strong>{name}.</strong> {what} Left, densities where the reference is; right, the share of "
            "samples above, on an axis that is linear in the middle and logarithmic beyond. A curve ends, with "
            "a dot, at its largest energy.")


def deviations(group):
    """{label: {"bonds": [b], "angles": [a]}}: 1-D W2 over the standard deviation of the reference, from 1,000
    quantiles."""
    found = {}
    for s in group:
        if {"reference", "generated"} <= s.sets.keys() and len(s.topology.bonds):
            found[s.label] = {kind: apart(*(getattr(s.sets[of], kind) for of in ("reference", "generated")))
                              for kind in ("bonds", "angles")}
    return found


def apart(reference, generated):
    one, other = (np.quantile(x, QUANTILES, axis=0) for x in (reference, generated))
    return np.sqrt(np.mean((one - other) ** 2, axis=0)) / np.maximum(reference.std(axis=0), 1e-12)


def of_metrics(run, subjects, verdicts, folder):
    body, cases, labels = "", run.cases, [s.label for s in subjects]
    path = figures.ratios(subjects, verdicts, folder)
    if path:
        body += figure(path, "<strong>Distances over their floors.</strong> Each W2 with one standard error, "
                       "divided by the mean of its floor; the band is the interval in which one more pair of "
                       "halves of the reference's trajectories would fall. Within it or below, nothing is "
                       "shown.",
                       "Distances over their floors")
    if any(case.metric("lipschitz_max") for case in cases):
        path = run_figures.lipschitz(cases, labels, folder, unit="nm or rad")
        body += figure(path, "<strong>Lipschitz constants.</strong> Largest singular value of the exact "
                       "Jacobian of the learned map and of its inverse. The gap to the 99% point shows how few "
                       "points carry the largest.", "Lipschitz constants by case")
    path = run_figures.convergence(run, labels, folder)
    if path:
        body += figure(path, "<strong>Convergence.</strong> Negative log-likelihood and norm of the gradient "
                       "(mean of an epoch) against the epoch; the circle is the epoch whose model was kept. "
                       + run_tables.clipped_words(cases, labels), "Negative log-likelihood against epoch")
    path = figures.history_terms(subjects, folder)
    if path:
        body += figure(path, "<strong>Terms of the losses.</strong> What each loss adds to the negative "
                       "log-likelihood: mean over generated samples, weight included.",
                       "Terms of the losses against epoch")
    return body
