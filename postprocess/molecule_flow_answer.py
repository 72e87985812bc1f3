"""What the numbers of a molecular flow say, sentence by sentence; none claims what was not measured."""

from html import escape

import numpy as np

import molecule_bounds
import molecule_distances as distances
import molecule_losses as losses
import molecule_paper as paper
import own_data
from html_page import lead_word
from quantity import count, in_words, number, percent, short, with_error
from run_tables import RHAT_LIMIT

ESS_USELESS = 100  # effective samples below which weighted averages rest on chance
TURNED = 0.02  # share of its fall by which a held-out loss has to rise from its lowest point to be called so
LISTED = 3  # distances that are named


def answer(run, subjects, groups, verdicts):
    """groups: the Cartesian subjects that share a reference."""
    sentences = [line for group in groups for line in answer_of_bounds(group, verdicts)]
    angular = [s for s in subjects if s.angular and s.generated]
    sentences += answer_of_angles(angular, verdicts)
    sentences += [distance_sentence(subjects, verdicts), floor_sentence(subjects, verdicts)]
    sentences += warnings(subjects)
    sentences += [own_data.sentence(run, s.case, s.label) for s in subjects]
    return [sentence for sentence in sentences if sentence]


# Conformations.

def answer_of_bounds(group, verdicts):
    judged = {s.label: molecule_bounds.judge(s.case) for s in group}
    there = [s for s in group if judged[s.label]]
    if not there:
        return []
    return [bounds_headline(there, judged)] + [
        loss_sentence(s, judged[s.label], baseline(there, s, judged), verdicts) for s in there]


def bounds_headline(there, judged):
    whole = [s.label for s in there if all(j.met for j in judged[s.label])]
    bounds = "; ".join(f"{j.bound.name} within {j.bound.limit_text}" for j in judged[there[0].label])
    if not whole:
        parts = [f"{escape(s.label)} {sum(j.met for j in judged[s.label])} of {len(judged[s.label])}"
                 for s in there]
        head = ("No loss of this run keeps" if len(there) > 1 else "The flow does not keep"
                ) + " generated conformations within all bounds"
        return lead_word("In short.", f"{head} ({bounds}). Met: {', '.join(parts)}.")
    rest = [s.label for s in there if s.label not in whole]
    head = f"{escape(in_words(whole))} {'keeps' if len(whole) == 1 else 'keep'} within all bounds ({bounds})"
    return lead_word("In short.", head + (f"; {escape(in_words(rest))} "
                                          f"{'does' if len(rest) == 1 else 'do'} not." if rest else "."))


def baseline(there, subject, judged):
    """Judgements of the likelihood alone, that another loss is set beside."""
    plain = next((s for s in there if s.loss == "nll" and s is not subject), None)
    return judged[plain.label] if plain is not None and subject.loss != "nll" else None


def loss_sentence(subject, judgements, base, verdicts):
    head = f"{escape(subject.label)} ({escape(losses.described(subject))})."
    parts = [f"{j.bound.name} {j.verdict}: {j.beside}" for j in judgements]
    pca = distances.find(verdicts, subject.label, "pca")
    if pca is not None:
        parts.append(f"PCA W2 {number(pca.value, 2)} {distances.state_words(pca)}, which is "
                     f"{distances.floor_text(pca)} (beyond it {distances.excess_of(pca).text})")
    text = "; ".join(parts) + "."
    if base is not None:
        text += " " + repairs(judgements, base)
    weakness = losses.weakness(subject)
    text += f" Known weakness: {weakness}." if weakness else ""
    fallen = losses.collapse(subject)
    text += f" {fallen[0].upper()}{fallen[1:]}." if fallen else ""
    printed = paper.printed("lj_mean", subject.loss) if paper.are_papers([subject]) else None
    if printed:
        text += (f" The paper prints min r {paper.printed('min_r_nonbonded', subject.loss)} nm, mean U "
                 f"{printed} kJ/mol, PCA W2 {paper.printed('w2_pca', subject.loss)} for it.")
    return lead_word(head, text)


def repairs(judgements, base):
    """What this loss mends of the likelihood alone, and what it breaks."""
    was = {j.bound.metric: j.met for j in base}
    mended = [j.bound.what for j in judgements if j.met and not was.get(j.bound.metric, True)]
    broken = [j.bound.what for j in judgements if not j.met and was.get(j.bound.metric, False)]
    if not mended and not broken:
        still = [j for j in judgements if not j.met]
        return ("It repairs none of what the likelihood alone misses." if still else
                "The likelihood alone meets these bounds, too.")
    text = f"It repairs {in_words(mended)}" if mended else "It repairs nothing"
    return text + (f" and breaks {in_words(broken)}." if broken else ".")


# Angles.

def answer_of_angles(angular, verdicts):
    found = [(s, [distances.find(verdicts, s.label, kind) for kind in ("torus_deg", "flat_deg")])
             for s in angular]
    found = [(s, pair) for s, pair in found if all(pair)]
    if not found:
        return []
    parts = [f"{escape(s.label)} {number(torus.value, 1)}° on the torus ({place(torus)}), "
             f"{number(flat.value, 1)}° in the plane ({place(flat)})" for s, (torus, flat) in found]
    off = [s.label for s, pair in found if any(v.state == "above" for v in pair)]
    head = ("the distance of the angles φ, ψ from the reference is beyond what its own trajectories have "
            f"between them for {escape(in_words(off))}" if off else
            "the angles φ, ψ are as close to the reference as halves of its own trajectories are to each other, "
            "or closer: this run shows no error of the flow, and cannot show a small one")
    sentences = [lead_word("In short.", f"{head[0].upper()}{head[1:]}. W2 on all points: {'; '.join(parts)}.")]
    few = [(s, s.case.metric("w2_flat_deg_subsample_1000"), s.case.metric("w2_torus_deg_subsample_1000"))
           for s, _ in found]
    few = [f"{escape(s.label)} {with_error(flat)}° in the plane and {with_error(torus)}° on the torus"
           for s, flat, torus in few if flat and torus]
    if few:
        sentences.append(lead_word("By the paper's protocol", (
            f"(1,000 points of each set): {'; '.join(few)}"
            + (f". The paper prints {paper.SUBSAMPLE_W2}° and does not say whether its angles wrap."
               if paper.are_papers(angular) else "."))))
    return sentences + [divergence_sentence(found)]


def place(verdict):
    return f"{distances.state_words(verdict)}, {distances.floor_text(verdict)}°"


def divergence_sentence(found):
    parts = []
    for subject, _ in found:
        measured, floor = (subject.case.metric(f"ramachandran_kl{ending}") for ending in ("", "_floor"))
        if measured is not None:
            parts.append(f"{escape(subject.label)} {with_error(measured)} nats"
                         + (f" (floor {with_error(floor)})" if floor else ""))
    return f"Divergence of the Ramachandran histograms, KL(reference‖generated): {', '.join(parts)}." if parts else ""


# Distances and floors.

def distance_sentence(subjects, verdicts):
    parts = []
    for subject in subjects:
        own = [v for v in verdicts if v.label == subject.label]
        if not own:
            continue
        above = sorted((v for v in own if v.state == "above"), key=lambda v: -v.ratio)
        named = ", ".join(f"{distances.name_of(v.kind)} {number(v.ratio, significant=2)}"
                          for v in above[:LISTED])
        parts.append(f"{escape(subject.label)}: {len(above)} of {len(own)} above their floors"
                     + (f" (times the floor: {named})" if above else ""))
    return lead_word("Distances.", "; ".join(parts) + '. All in the <a href="#distances">table</a>.'
                     ) if parts else ""


def floor_sentence(subjects, verdicts):
    """That of a molecule is made of its own trajectories."""
    if not verdicts:
        return ""
    what = ("the file's walkers or blocks of rows" if any(s.case.from_file for s in subjects) else
            "the reference's own trajectories, which start from one structure")
    text = (f"They are distances between random halves of {what}; halves have twice the noise of the whole. A flow "
            "has been trained on all of them: a distance below the floor means that it has learnt them better "
            "than they know of each other, not that it is closer to the true density")
    wide = max((v for v in verdicts if v.kind == "torus_deg"), key=lambda v: v.floor, default=None)
    if wide is not None:
        text += (f". Halves differ by {distances.floor_text(wide)}° in φ, ψ on the torus: no error of populations "
                 "below that can be seen, and more or longer trajectories would lower it")
    return lead_word("Floors.", text + ".")


# Warnings.

def warnings(subjects):
    return [make(subjects) for make in (convergence_warning, weights_warning, held_out_warning,
                                        spike_warning, mirror_warning)]


def convergence_warning(subjects):
    values = {s.label: s.case.value("rhat_max") for s in subjects if s.case.value("rhat_max") is not None}
    if not values:
        return lead_word("Reference.", "R̂ needs at least two walkers with four frames each: whether they agree "
                                       "is not known.")
    label, worst = max(values.items(), key=lambda item: item[1])
    case = next(s.case for s in subjects if s.label == label)
    if worst <= RHAT_LIMIT:
        return lead_word("Reference.", f"Its walkers agree: the largest R̂ is {number(worst, 4)} "
                                       f"({worst_quantity(case)}).")
    return lead_word("Warning: the reference has not converged.", (
        f"R̂ of {worst_quantity(case)} is {number(worst, 4)}, above {RHAT_LIMIT}. Populations of the basins are "
        "not settled, and flows are measured against them as they are."))


def worst_quantity(case):
    values = {name[len("rhat_"):]: case.value(name) for name in case.metrics
              if name.startswith("rhat_") and name != "rhat_max" and case.value(name) is not None}
    return escape(max(values, key=values.get).replace("_", " ")) if values else "any quantity"


def weights_warning(subjects):
    found = [(s.label, s.case.metric("importance_ess")) for s in subjects if s.case.metric("importance_ess")]
    if not found:
        return ""
    left = {label: ess.value * (ess.n or 1) for label, ess in found}
    useless = [label for label, value in left.items() if value < ESS_USELESS]
    listed = "; ".join(f"{escape(label)} {percent(ess.value)}, {number(left[label], significant=2)} of "
                       f"{count(ess.n)} samples" for label, ess in found)
    if not useless:
        return lead_word("Weights.", f"Effective share of the samples after weighting with exp(−βU): {listed}.")
    return lead_word("Warning: weights are useless.", (
        f"After weighting with exp(−βU) fewer than {ESS_USELESS} effective samples are left of "
        f"{escape(in_words(useless))}: reweighted averages rest on chance. Effective share: {listed}."))


def held_out_warning(subjects):
    parts = []
    for subject in subjects:
        turn = turned(subject.case.history())
        if turn is not None:
            epoch, rise, last = turn
            parts.append(f"{escape(subject.label)} rises by {short(rise)} nats from epoch {count(epoch)} to "
                         f"{count(last)}")
    return lead_word("Warning: the held-out loss turned up.", (
        f"{'; '.join(parts)}: more epochs only fit the training set. The model kept is that of the least loss, "
        "where the deck says <code>training.keep = \"best\"</code>.")) if parts else ""


def turned(history):
    """(epoch of the least held-out loss, rise since, last epoch), or None where it has not risen."""
    if history is None:
        return None
    loss = history["nll_validation"] + np.nan_to_num(history.get("term_validation", np.zeros(1)))
    there = np.flatnonzero(np.isfinite(loss))
    if len(there) < 2:
        return None
    loss, epochs = loss[there], history["epoch"][there]
    least = int(np.argmin(loss))
    rise, fall = loss[-1] - loss[least], loss[0] - loss[least]
    return (epochs[least], rise, epochs[-1]) if rise > TURNED * fall and rise > 0.0 and fall > 0.0 else None


def spike_warning(subjects):
    parts = []
    for subject in subjects:
        values = [(subject.case.value(name), words) for name, *words in
                  (("rewinds", "rewind", "rewinds"), ("skipped_steps", "step left out", "steps left out"))]
        said = in_words(f"{count(value)} {words[value != 1.0]}" for value, words in values if value)
        if said:
            parts.append(f"{escape(subject.label)}: {said}")
    return lead_word("Training was not smooth.", (
        f"{'; '.join(parts)}. A rewind goes back to earlier parameters after a loss that stayed far above its "
        "trend.")) if parts else ""


def mirror_warning(subjects):
    parts = [f"{escape(s.label)} {percent(s.case.value('fraction_mirrored_generated'))}" for s in subjects
             if s.case.value("fraction_mirrored_generated")]
    return lead_word("Warning: mirror images.", (
        f"Share of generated molecules with a stereocentre of the wrong hand: {', '.join(parts)}.")
                     ) if parts else ""
