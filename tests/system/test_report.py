"""The report of a run: made from a small synthetic run folder, so that no build is needed.

    python3 -m unittest tests/system/test_report.py
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np

TOP = Path(os.environ.get("BM_TOP", Path(__file__).resolve().parents[2]))
REPORT = TOP / "postprocess" / "report.py"
BETA, COUPLING = 5.0, 0.7
CASES = (("unregularised", 1e-8), ("eps-0.03", 0.03), ("eps-0.1", 0.1), ("eps-0.5", 0.5))
WALKERS, FRAMES = 200, 10
DECK = """
run: { name = "<two> & particle"; };  # <two>
system: { kind = "coulomb-double-well"; beta = 5.0; };
reference: { sampler = "metropolis"; };
training: { clip_norm = 1.0; };
cases: ( { name = "unregularised"; }, { name = "eps-0.03"; training: { clip_norm = 0.0; }; } );
"""
FIGURES = ("figure1", "figure2", "figure2-eps-0.5", "convergence", "distances", "lipschitz", "timings")
PAIRS = 20


def energy(x, softening):
    """Equations 15 and 16; x is [n][4] = (x1, x2, y1, y2)."""
    r = np.hypot(x[:, 0] - x[:, 2], x[:, 1] - x[:, 3])
    return ((x[:, 0] ** 2 - 1) ** 2 + x[:, 1] ** 2 + (x[:, 2] ** 2 - 1) ** 2 + x[:, 3] ** 2
            + COUPLING / np.hypot(r, softening))


def metropolis(random, softening):
    """Walkers [WALKERS · FRAMES][4], walker-major; jumps x1 -> -x1 mix the wells."""
    x = random.choice([-1.0, 1.0], (WALKERS, 1)) * [1.0, 0.0, -1.0, 0.0]
    u, kept = energy(x, softening), []
    for step in range(100 + 20 * FRAMES):
        proposal = x + 0.35 * random.standard_normal(x.shape)
        if step % 5 == 0:
            proposal = x * [-1.0, 1.0, 1.0, 1.0]
        new = energy(proposal, softening)
        accepted = random.random(WALKERS) < np.exp(np.minimum(0.0, -BETA * (new - u)))
        x, u = np.where(accepted[:, None], proposal, x), np.where(accepted, new, u)
        if step >= 100 and step % 20 == 19:
            kept.append(x)
    return np.concatenate(np.swapaxes(kept, 0, 1))


def langevin(random, frames, stride=10, time_step=0.01):
    """One walker of overdamped dynamics in the softened potential 0.1, without jumps."""
    x, kept = np.array([1.0, 0.0, -1.0, 0.0]), []
    for step in range(frames * stride):
        d = np.array([x[0] - x[2], x[1] - x[3]])
        pull = -COUPLING * d / (d @ d + 0.01) ** 1.5
        gradient = np.array([4 * x[0] * (x[0] ** 2 - 1) + pull[0], 2 * x[1] + pull[1],
                             4 * x[2] * (x[2] ** 2 - 1) - pull[0], 2 * x[3] - pull[1]])
        x = x - time_step * gradient + np.sqrt(2 * time_step / BETA) * random.standard_normal(4)
        if step % stride == stride - 1:
            kept.append(x)
    return np.array(kept)


def write_h5md(path, x, time, walkers, observables):
    with h5py.File(path, "w") as file:
        position = file.create_group("particles/all/position")
        frames = np.zeros((len(x), 2, 3))
        frames[:, :, :2] = x.reshape(-1, 2, 2)
        position["value"], position["time"] = frames, time
        position["step"] = np.arange(len(x))
        for name, values in observables.items():
            file[f"observables/{name}/value"] = values
        file.create_group("parameters").attrs["walkers"] = walkers


def entry(value, error=None, n=None, unit="1", **more):
    return {"value": value, "error": error, "unit": unit, "n": n, **more}


def floor(mean, spread):
    return entry(mean, spread / np.sqrt(PAIRS), PAIRS, spread=spread)


def distances(above):
    """Distances a tenth of a spread over their floors, but for those named in `above`."""
    metrics = {}
    for kind, mean, spread in (("r", 0.012, 0.004), ("sliced", 0.03, 0.01), ("exact", 0.25, 0.03)):
        for name in (f"w2_{kind}", f"w2_{kind}_singular"):
            metrics[name] = entry(mean + (10.0 if name in above else 0.1) * spread, 0.1 * spread, 2000)
            metrics[name + "_floor"] = floor(mean, spread)
    return metrics


def observed(x):
    r = np.hypot(x[:, 0] - x[:, 2], x[:, 1] - x[:, 3])
    return {"mean_r": r, "prob_r_below_0.8": r < 0.8, "prob_same_well": x[:, 0] * x[:, 2] > 0}


def write_case(folder, random, softening):
    """The files of one case; gives its metrics."""
    folder.mkdir()
    x = metropolis(random, softening)
    generated = x[random.permutation(len(x))] + 0.02 * random.standard_normal(x.shape)
    leaking = random.random(len(x)) < 0.03
    generated[leaking, 2:] = generated[leaking, :2] + 0.2 * random.standard_normal((leaking.sum(), 2))
    metrics = {}
    for name, sample in (("reference", x), ("generated", generated), ("reweighted", x)):
        for metric, values in (*observed(sample).items(), ("var_x1", sample[:, 0] ** 2)):
            values = values.astype(float)
            error = values.reshape(WALKERS, FRAMES).mean(1).std(ddof=1) / np.sqrt(WALKERS)
            metrics[f"{metric}_{name}"] = entry(values.mean(), error, len(values))
        metrics[f"min_r_{name}"] = entry(observed(sample)["mean_r"].min(), None, len(sample))
    least = metrics["min_r_reference"]["value"]
    metrics["fraction_below_min_r_reference"] = entry(
        float(np.mean(observed(generated)["mean_r"] < least)), 1e-4, len(x))
    time = np.arange(len(x), dtype=float)
    write_h5md(folder / "reference.h5md", x, time, WALKERS, {"r": observed(x)["mean_r"]})
    write_h5md(folder / "generated.h5md", generated, time, 1, {
        "r": observed(generated)["mean_r"], "energy": energy(generated, softening),
        "log_density": -BETA * energy(generated, softening), "log_weight": np.zeros(len(x))})
    walk = langevin(random, 1500)
    write_h5md(folder / "trajectory.h5md", walk, 0.1 * np.arange(len(walk)), 1, {})
    write_history(folder / "history.csv", random)
    (folder / "evaluate.json").write_text("{}", encoding="utf-8")
    return metrics


def write_history(path, random, epochs=60):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "nll_train", "nll_validation", "learning_rate", "gradient_norm"])
        for epoch in range(1, epochs + 1):
            fall = 2.8 + 2.0 * np.exp(-epoch / 5.0) + 0.01 * random.standard_normal()
            writer.writerow([epoch, fall, fall + 0.1 + 0.002 * epoch, 5e-4, 2.0 if epoch <= 15 else 0.5])


def write_run(folder, cases=CASES, above=()):
    """A run folder as the program leaves it, with made-up numbers."""
    random = np.random.default_rng(20)
    folder.mkdir(parents=True)
    entries = []
    for i, (name, softening) in enumerate(cases):
        metrics = write_case(folder / name, random, softening)
        metrics.update(distances(above if i == 0 else ()))
        metrics.update({
            "lipschitz_max": entry(400.0 / (i + 1)), "lipschitz_max_sampled": entry(300.0 / (i + 1)),
            "lipschitz_p99": entry(30.0 / (i + 1)),
            "inverse_lipschitz_max": entry(90.0), "nll_validation": entry(3.0, 0.02, 1000),
            "parameters": entry(1064000), "parameters_masked_equivalent": entry(1089600),
            "rhat_max": entry(1.004), "ess_min": entry(1800.0), "importance_ess": entry(0.7 - 0.1 * i),
            "importance_ess_clipped": entry(0.75), "importance_clipped_share": entry(0.01),
            "log_z_weights": entry(-3.29, 0.01), "acceptance": entry(0.4), "burn_in": entry(1000),
            "thinning": entry(20), "best_epoch": entry(37)})
        entries.append({
            "name": name, "metrics": metrics,
            "system": {"kind": "coulomb-double-well", "coupling": COUPLING, "beta": BETA,
                       "softening": softening, "energy_cutoff": 0.0},
            "timings": {"sampling_s": {"value": 2.0 + i, "unit": "s"},
                        "training_s": {"value": 40.0, "unit": "s"},
                        "distances_s": {"value": 8.0, "unit": "s"},
                        "training_samples_per_s": {"value": 11200.0, "unit": "1/s"},
                        "generation_samples_per_s": {"value": 2.1e5, "unit": "1/s"},
                        "training_fraction_of_sgemm": {"value": 0.61, "unit": "1"}}})
    document = {"program": "boltzmap", "version": "0.1.0", "revision": "abc1234", "deck": "two-particle.cfg",
                "seed": 1, "ranks": 2, "libraries": {"hdf5": "1.10.8"}, "overrides": ["training.epochs: 400 -> 60"], "cases": entries}
    (folder / "results.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "deck.cfg").write_text(DECK, encoding="utf-8")


def change_results(folder, change):
    """Apply `change` to the document of results.json."""
    path = folder / "results.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


# One particle in a plane; what is exact of it is known without sampling.
PLANE = {"kind": "gaussian", "beta": 4.0, "dimension": 2, "mean": 0.5, "standard_deviation": 1.0,
         "aspect_ratio": 3.0, "energy_cutoff": 0.0}
SPREADS = np.array([0.5, 1.5])  # of its two coordinates


def write_plane(folder, x, generated, walkers=1, deck="", system=PLANE, **metrics):
    """A run of one case in the plane, with these sets of rows."""
    case = folder / "flat"
    case.mkdir(parents=True)
    energies = [0.5 * np.sum((rows - 0.5) ** 2 / np.array([1.0, 9.0]), axis=1) for rows in (x, generated)]
    proposal = -0.5 * np.sum(((generated - 0.5) / SPREADS) ** 2, axis=1)
    for name, rows, energy_of, own in (("reference", x, energies[0], walkers),
                                       ("generated", generated, energies[1], 1)):
        with h5py.File(case / f"{name}.h5md", "w") as file:
            frames = np.zeros((len(rows), 1, 3))
            frames[:, 0, :2] = rows
            file["particles/all/position/value"] = frames
            file["particles/all/position/time"] = np.arange(len(rows), dtype=float)
            file["observables/energy/value"] = energy_of
            if name == "generated":
                file["observables/log_weight/value"] = -4.0 * energy_of - proposal
            file.create_group("parameters").attrs["walkers"] = own
    (case / "evaluate.json").write_text("{}", encoding="utf-8")
    (folder / "deck.cfg").write_text(deck, encoding="utf-8")
    (folder / "results.json").write_text(json.dumps({"seed": "1", "cases": [
        {"name": "flat", "system": system, "metrics": metrics}]}), encoding="utf-8")


def answer_of(html):
    """The plain text of the answer."""
    return Page(re.search(r'<div class="answer">.*?</div>', html, re.S).group(0)).text


def make_report(*arguments):
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1",
                   "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, str(REPORT), *map(str, arguments)], capture_output=True,
                          text=True, encoding="utf-8", env=environment, timeout=300)


class Page(HTMLParser):
    """What a page asks for from outside, its plain text, its tags left open."""

    VOID = {"meta", "img", "br", "hr", "link", "input"}

    def __init__(self, text):
        super().__init__()
        self.outside, self.words, self.open, self.wrong = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("link", "script", "iframe", "object"):
            self.outside.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset", "data") and not value.startswith(("data:", "#")):
                self.outside.append(value)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.words))


class ReportOfARun(unittest.TestCase):
    """One report of a good run, looked at from many sides."""

    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.place.name) / "out" / "two-particle"
        write_run(cls.folder, above=("w2_sliced",))
        cls.done = make_report(cls.folder)
        if cls.done.returncode:
            raise AssertionError(cls.done.stderr)
        cls.html = (cls.folder / "report.html").read_text(encoding="utf-8")
        cls.page = Page(cls.html)

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def test_ends_with_table_and_path_of_the_page(self):
        lines = self.done.stdout.splitlines()
        self.assertEqual(lines[-1], str(self.folder / "report.html"))
        self.assertIn((self.folder / "table1.txt").read_text(encoding="utf-8"), self.done.stdout)
        self.assertEqual(self.done.stderr, "")

    def test_table_holds_ours_the_truth_and_the_paper(self):
        table = (self.folder / "table1.txt").read_text(encoding="utf-8")
        results = json.loads((self.folder / "results.json").read_text(encoding="utf-8"))
        for case in results["cases"]:
            self.assertIn(f"{case['metrics']['min_r_reference']['value']:.3f}", table)
        for number in ("0.401", "2.005", "0.077", "0.017", "87.6643", "25.2612", "1.9884", "1.9446"):
            self.assertIn(number, table)
        for short, long in (("0.012(4)", "0.012 ± 0.004"), ("0.030(10)", "0.030 ± 0.010"),
                            ("0.250(30)", "0.250 ± 0.030")):
            self.assertEqual(table.count(short), len(CASES))
            self.assertEqual(self.html.count(f"<td>{long}</td>"), len(CASES))

    def test_text_table_is_aligned_and_fits_a_hundred_columns(self):
        lines = (self.folder / "table1.txt").read_text(encoding="utf-8").splitlines()
        rows = [line for line in lines if line.startswith("this run ")]
        self.assertEqual(len(rows), len(CASES))
        self.assertEqual({len(line) for line in rows}, {len(lines[4])})
        self.assertLessEqual(max(map(len, lines)), 100)

    def test_latex_table_is_balanced(self):
        text = (self.folder / "table1.tex").read_text(encoding="utf-8")
        self.assertEqual(text.count("{"), text.count("}"))
        self.assertEqual(text.count("$") % 2, 0)
        self.assertTrue(text.isascii(), [sign for sign in text if not sign.isascii()])
        for line in text.splitlines():
            if line.endswith("\\\\"):
                merged = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
                self.assertEqual(line.replace("\\&", "").count("&") + merged, 9, line)

    def test_csv_repeats_the_results_exactly(self):
        with open(self.folder / "table1.csv", newline="", encoding="utf-8") as file:
            rows = {(row["case"], row["quantity"]): row for row in csv.DictReader(file)}
        results = json.loads((self.folder / "results.json").read_text(encoding="utf-8"))
        self.assertEqual(len(rows), 8 * len(CASES))
        for case in results["cases"]:
            for name in ("mean_r_generated", "w2_exact_singular", "lipschitz_max"):
                self.assertEqual(float(rows[case["name"], name]["value"]),
                                 case["metrics"][name]["value"])

    def test_figures_are_there_and_not_empty(self):
        import matplotlib.image
        for name in FIGURES:
            image = matplotlib.image.imread(self.folder / "figures" / f"{name}.png")
            self.assertGreater(image.shape[1], 700, name)
            self.assertGreater(float(image[..., :3].std()), 0.02, name)
            pdf = (self.folder / "figures" / f"{name}.pdf").read_bytes()
            self.assertTrue(pdf.startswith(b"%PDF") and len(pdf) > 5000, name)

    def test_page_is_whole_and_needs_nothing_else(self):
        self.assertEqual(self.page.outside, [])
        self.assertEqual((self.page.wrong, self.page.open), ([], []))
        self.assertNotRegex(self.html, r"@import|url\(|http")
        self.assertGreaterEqual(self.html.count("data:image/png;base64,"), len(FIGURES))
        self.assertIn("viewport", self.html)
        self.assertIn("@media print", self.html)

    def test_answer_comes_first_and_follows_from_the_numbers(self):
        self.assertLess(self.html.index("The answer"), self.html.index("<table"))
        answer = answer_of(self.html)
        self.assertIn("In short. The generated samples are not exact", answer)
        self.assertIn("1 of 12 distances lies above its floor", answer)
        self.assertIn("4 of 4 flows leak into the collision", answer)
        self.assertIn("falls at every step", answer)
        self.assertIn("Every flow puts more samples below", answer)
        self.assertIn("from 40% (ε = 0.5) to 70% (unregularised)", answer)
        self.assertIn(" quadrature", answer)

    def test_every_distance_is_said_and_none_passes(self):
        answer = answer_of(self.html)
        # sqrt(0.13² - 0.03²), and t(1 - 0.01/24, 19)·0.01·sqrt(1.05) = 0.0414
        self.assertIn("W2, sliced: above the floor in 1 of 4 cases: unregularised 0.130 (4.3 times the floor "
                      "of 0.030 ± 0.041; error about 0.13); at the floor in ε = 0.03, ε = 0.1 and ε = 0.5, "
                      "which is inconclusive: an error has to reach 0.064", answer)
        for kind in ("1-D of r", "exact"):
            self.assertIn(f"W2, {kind}: at the floor in all 4 cases, which is inconclusive", answer)
        self.assertNotIn("zero error", self.html)

    def test_generated_averages_are_set_beside_the_truth(self):
        answer = answer_of(self.html)
        results = json.loads((self.folder / "results.json").read_text(encoding="utf-8"))
        measured = results["cases"][0]["metrics"]["mean_r_generated"]
        z = (measured["value"] - 1.98841) / measured["error"]
        self.assertRegex(answer, r"Averages of the generated samples\. \d+ of 16 lie more than 5\.5 standard")
        self.assertIn("where chance alone gives 0.7 and 0.04", answer)
        self.assertIn(f"<td>−{abs(z):.1f}</td>", self.html)
        self.assertNotIn("P(r < 0.8)", self.html)

    def test_limit_of_agreement_is_explained(self):
        self.assertRegex(answer_of(self.html), r"chance exceeds it in fewer than one of [\d ]+ runs")
        self.assertIn("4·10<sup>−8</sup> for one number", self.html)

    def test_clipping_is_reported_case_by_case(self):
        self.assertIn("25% of epochs (unregularised), 25% of epochs (ε = 0.1), 25% of epochs (ε = 0.5)",
                      self.html)
        self.assertEqual(self.html.count("<td>25%</td>"), 3)

    def test_whole_numbers_are_written_whole(self):
        for name, text in (("burn_in", "1\u2009000"), ("thinning", "20"), ("best_epoch", "37")):
            self.assertIn(f"<td>{name}</td><td>{text}</td>", self.html)

    def test_deck_and_overrides_are_shown_escaped(self):
        self.assertIn("training.epochs: 400 -&gt; 60", self.html)
        self.assertIn("&lt;two&gt; &amp; particle", self.html)

    def test_provenance_is_shown(self):
        for words in ("revision abc1234", "seed 1", "ranks 2", "libraries hdf5 1.10.8"):
            self.assertIn(words.replace(" ", ""), self.page.text.replace(" ", ""))

    def test_generated_sequence_is_called_no_dynamics(self):
        self.assertIn("An independent sequence has no dynamics", self.html)
        self.assertIn("autocorrelation falls to 1/e after", self.html)

    def test_no_placeholder_of_a_missing_number_is_left(self):
        self.assertNotRegex(self.page.text, r"\bnan\b|\bNone\b|\binf\b")

    def test_nothing_temporary_is_left(self):
        self.assertEqual([path for path in self.folder.rglob("*.tmp")], [])

    def test_same_run_gives_same_files(self):
        names = ["report.html", "table1.tex", "figures/figure1.pdf", "figures/figure2.png"]
        before = [(self.folder / name).read_bytes() for name in names]
        self.assertEqual(make_report(self.folder).returncode, 0)
        self.assertEqual(before, [(self.folder / name).read_bytes() for name in names])


class OtherRuns(unittest.TestCase):
    """Runs with less in them, other numbers, or damage."""

    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.whole = Path(cls.place.name) / "whole"
        write_run(cls.whole, cases=(CASES[0], CASES[3]))

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def setUp(self):
        self.folder = Path(self.place.name) / self.id().rsplit(".", 1)[1]
        shutil.copytree(self.whole, self.folder)

    def answer(self):
        done = make_report(self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return (self.folder / "report.html").read_text(encoding="utf-8")

    def refused(self, *words, arguments=None):
        """One line, exit 65, no page."""
        done = make_report(*(arguments or [self.folder]))
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse((self.folder / "report.html").exists())

    def test_no_error_found_is_said_only_then_and_is_no_proof(self):
        def change(document):
            for case in document["cases"]:
                metrics = case["metrics"]
                for name in list(metrics):
                    if name.endswith("_generated"):
                        metrics[name] = metrics[name.replace("_generated", "_reference")]
                metrics["fraction_below_min_r_reference"]["value"] = 0.0
        self.assertIn("are not exact", answer_of(self.answer()))
        change_results(self.folder, change)
        answer = answer_of(self.answer())
        self.assertIn("No check of this run shows an error of the generated samples (6 distances at their "
                      "floors and 8 averages within 5.5 standard errors). That is no proof", answer)

    def test_averages_off_the_truth_are_said_where_all_distances_are_at_their_floors(self):
        def change(document):
            document["cases"][1]["metrics"]["mean_r_generated"].update(value=1.23, error=0.001)
        change_results(self.folder, change)
        answer = answer_of(self.answer())
        self.assertIn("are not exact", answer)
        self.assertIn("E[r] of ε = 0.5: −37%", answer)

    def test_low_effective_size_is_said(self):
        def change(document):
            document["cases"][1]["metrics"]["importance_ess"]["value"] = 0.04
        change_results(self.folder, change)
        self.assertIn("Below 50% a flow differs much from exp(−βU)", answer_of(self.answer()))

    def test_cases_that_are_not_finished_are_named_and_left_out(self):
        for name in ("evaluate.json", "generated.h5md"):
            (self.folder / "eps-0.5" / name).unlink()
        html = self.answer()
        self.assertIn("Not finished, and not in this report: eps-0.5", html)
        self.assertNotIn("ε = 0.5", answer_of(html))

    def test_run_of_which_no_case_is_finished_is_shown_as_far_as_it_is(self):
        for path in self.folder.glob("*/evaluate.json"):
            path.unlink()
        self.assertIn("No case has been evaluated to the end", self.answer())

    def test_reference_off_the_truth_is_said(self):
        def change(document):
            document["cases"][0]["metrics"]["mean_r_reference"].update(value=2.1, error=0.005)
        change_results(self.folder, change)
        html = self.answer()
        self.assertIn("do not agree with the quadrature", html)
        self.assertIn("22.3 standard errors", answer_of(html))

    def test_growing_lipschitz_constant_is_said(self):
        def change(document):
            document["cases"][0]["metrics"]["lipschitz_max"]["value"] = 10.0
            document["cases"][1]["metrics"]["lipschitz_max"]["value"] = 20.0
        change_results(self.folder, change)
        self.assertIn("grows with ε", self.answer())

    def test_bad_rhat_is_a_warning(self):
        def change(document):
            document["cases"][1]["metrics"]["rhat_max"]["value"] = 1.2
        change_results(self.folder, change)
        self.assertIn("R̂ is above 1.01 in ε = 0.5 (1.2000): these walkers have not mixed", self.answer())

    def test_rhat_a_little_above_its_limit_is_not_called_a_failure(self):
        def change(document):
            document["cases"][1]["metrics"]["rhat_max"]["value"] = 1.0124
        change_results(self.folder, change)
        html = self.answer()
        self.assertIn("R̂ is above 1.01 in ε = 0.5 (1.0124): the walkers differ by somewhat more", html)
        self.assertNotIn("not mixed", html)

    def test_other_parameters_have_neither_truth_nor_paper(self):
        def change(document):
            for case in document["cases"]:
                case["system"]["beta"] = 3.0
        change_results(self.folder, change)
        html = self.answer()
        self.assertIn("There is no quadrature for these parameters", html)
        self.assertNotIn("87.6643", html)

    def test_unmeasured_numbers_are_left_out(self):
        def change(document):
            for case in document["cases"]:
                for name in list(case["metrics"]):
                    if re.match("w2|lipschitz|inverse|importance|log_z|.*reweighted", name):
                        case["metrics"][name]["value"] = None
        change_results(self.folder, change)
        html = self.answer()
        self.assertIn("No distance with a floor was measured", html)
        self.assertNotIn("largest Jacobian norm found", html)
        self.assertNotRegex(Page(html).text, r"\bnan\b|\bNone\b")

    def test_run_without_any_number_still_has_a_report(self):
        def change(document):
            document["cases"][0].update(metrics={}, timings=None)
            for entry_of in document["cases"][1]["metrics"].values():
                entry_of.update(value=None, error=None, n=None)
        change_results(self.folder, change)
        self.assertNotRegex(Page(self.answer()).text, r"\bnan\b|\bNone\b")

    def test_numbers_without_error_and_size_are_shown_alone(self):
        def change(document):
            for case in document["cases"]:
                for entry_of in case["metrics"].values():
                    entry_of.update(error=None, n=None)
        change_results(self.folder, change)
        self.assertNotRegex(Page(self.answer()).text, r"\bnan\b|\bNone\b")

    def test_run_without_training_and_trajectory_still_has_a_report(self):
        for case in ("unregularised", "eps-0.5"):
            for name in ("trajectory.h5md", "history.csv"):
                (self.folder / case / name).unlink()
        self.assertIn("kept no Langevin trajectory", self.answer())

    def test_floor_without_spread_gives_no_verdict(self):
        def change(document):
            for case in document["cases"]:
                for name, entry_of in case["metrics"].items():
                    if name.endswith("_floor"):
                        entry_of.update(error=None, spread=None)
        change_results(self.folder, change)
        self.assertIn("No distance with a floor was measured", self.answer())

    def test_softening_of_zero_is_the_singular_case(self):
        change_results(self.folder,
                       lambda document: document["cases"][0]["system"].update(softening=0.0))
        html = self.answer()
        self.assertIn("87.6643", html)
        self.assertIn(">unregularised<", html)

    def test_single_regularised_case_is_enough(self):
        change_results(self.folder, lambda document: document["cases"].pop(0))
        self.assertIn("ε = 0.5", self.answer())

    def test_system_without_an_experiment_gets_the_plain_report(self):
        def change(document):
            for case in document["cases"]:
                case["system"] = {"kind": "gaussian", "beta": 1.0}
        change_results(self.folder, change)
        html = self.answer()
        self.assertIn("W2, exact: at the floor in both cases", answer_of(html))
        self.assertIn("System: gaussian", html)
        self.assertIn("What the floor hides", html)
        self.assertTrue((self.folder / "figures" / "lipschitz.pdf").is_file())
        self.assertIn("Negative log-likelihood of samples that were held out", html)
        self.assertNotIn("87.6643", html)
        self.assertNotRegex(Page(html).text, r"\bnan\b|\bNone\b")
        self.assertTrue((self.folder / "figures" / "coordinates-eps-0.5.pdf").is_file())

    def test_system_without_an_experiment_needs_only_results(self):
        def change(document):
            for case in document["cases"]:
                case.update(system={"kind": "double-well"}, metrics={}, timings={})
        change_results(self.folder, change)
        for path in [*self.folder.glob("*/*.h5md"), *self.folder.glob("*/history.csv")]:
            path.unlink()
        self.assertIn("double-well", self.answer())

    def test_missing_files_are_named_at_once(self):
        (self.folder / "eps-0.5" / "generated.h5md").unlink()
        (self.folder / "unregularised" / "reference.h5md").unlink()
        self.refused("missing", "unregularised/reference.h5md", "eps-0.5/generated.h5md")

    def test_missing_results_are_named(self):
        (self.folder / "results.json").unlink()
        self.refused("missing results.json")

    def test_missing_key_is_named(self):
        change_results(self.folder, lambda document: document["cases"][0].pop("system"))
        self.refused("results.json", "system")

    def test_broken_json_is_named(self):
        (self.folder / "results.json").write_text('{"cases": [', encoding="utf-8")
        self.refused("results.json")

    def test_broken_sample_set_is_named(self):
        path = self.folder / "eps-0.5" / "reference.h5md"
        path.write_bytes(path.read_bytes()[:1000])
        self.refused("eps-0.5/reference.h5md")

    def test_sample_set_without_positions_is_named(self):
        with h5py.File(self.folder / "eps-0.5" / "generated.h5md", "r+") as file:
            del file["particles/all/position/value"]
        self.refused("eps-0.5/generated.h5md")

    def test_observable_of_wrong_length_is_named(self):
        with h5py.File(self.folder / "eps-0.5" / "generated.h5md", "r+") as file:
            del file["observables/r/value"]
            file["observables/r/value"] = np.ones(7)
        self.refused("eps-0.5/generated.h5md", "r has 7 rows")

    def test_history_without_a_column_is_named(self):
        (self.folder / "eps-0.5" / "history.csv").write_text("epoch,nll_train\n1,2\n", encoding="utf-8")
        self.refused("eps-0.5/history.csv", "nll_validation")

    def test_no_folder_is_named(self):
        self.refused("nowhere", arguments=[self.folder / "nowhere"])

    def test_wrong_usage_ends_with_64(self):
        self.assertEqual(make_report().returncode, 64)
        self.assertEqual(make_report(self.folder, "more").returncode, 64)
        self.assertEqual(make_report("--help").returncode, 0)

    def test_python_without_packages_is_named_and_still_has_help(self):
        # -S hides what is installed for this Python
        for arguments, status in ((["--help"], 0), ([str(self.folder)], 1)):
            done = subprocess.run([sys.executable, "-S", "-B", str(REPORT), *arguments], text=True,
                                  capture_output=True, env={**os.environ, "PYTHONPATH": ""}, timeout=60)
            self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(sys.executable, done.stderr)
        self.assertIn("/usr/bin/python3", done.stderr)


class PlaneRuns(unittest.TestCase):
    """Runs of a system whose truth is known, with sets of rows made here."""

    ROWS = 4000
    OWN = "system: {{ {} }}; reference: {{ sampler = \"file\"; file = \"a.npy\"; }};\n".format(
        " ".join(f"{name} = {json.dumps(value)};" for name, value in PLANE.items()))

    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.folder = Path(self.place.name) / "plane"
        self.random = np.random.default_rng(8)

    def rows(self):
        return 0.5 + SPREADS * self.random.standard_normal((self.ROWS, 2))

    def walk(self):
        """One walker that stays correlated over about a hundred rows."""
        x, place = np.empty((self.ROWS, 2)), np.zeros(2)
        for i, step in enumerate(self.random.standard_normal((self.ROWS, 2))):
            place = 0.98 * place + np.sqrt(1.0 - 0.98 ** 2) * step
            x[i] = 0.5 + SPREADS * place
        return x

    def report(self):
        done = make_report(self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return (self.folder / "report.html").read_text(encoding="utf-8")

    def test_exact_samples_agree_with_the_truth(self):
        write_plane(self.folder, self.rows(), self.rows(), walkers=40, log_z_weights=entry(1.5, 0.01))
        html = self.report()
        self.assertIn("All 4 lie within 5.5 standard errors of the truth", answer_of(html))
        # log of the product of s·sqrt(2·pi/beta)
        self.assertIn(f"<td>{np.log(2 * np.pi * 3 / 4):.4f}</td>", html)
        self.assertIn("<td>truth</td>", html)

    def test_deviation_of_one_coordinate_is_found(self):
        generated = self.rows()
        generated[:, 1] *= 1.2
        write_plane(self.folder, self.rows(), generated, walkers=40)
        answer = answer_of(self.report())
        self.assertIn("are not exact", answer)
        self.assertIn("s.d. of coordinate 2", answer)

    def test_independent_rows_of_a_file_are_no_cause_for_a_warning(self):
        write_plane(self.folder, self.rows(), self.rows(), deck=self.OWN, importance_ess=entry(0.99))
        html = self.report()
        self.assertNotIn("strongly correlated", html)
        # d/(2 beta) is the mean energy of d normal coordinates
        self.assertRegex(answer_of(html), "standard errors from that of the deck's system by the weights, "
                                          "0\\.2[45]\\d, as it should be")

    def test_correlated_rows_of_a_file_are_a_warning(self):
        write_plane(self.folder, self.walk(), self.rows(), deck=self.OWN)
        html = self.report()
        self.assertIn("the rows of the file are strongly correlated", html)
        self.assertIn("fewer than 400", html)
        self.assertRegex(answer_of(html), "The rows of the file are strongly correlated")

    def test_floors_of_a_file_are_called_splits(self):
        write_plane(self.folder, self.rows(), self.rows(), deck=self.OWN, w2_sliced=entry(0.03),
                    w2_sliced_floor=floor(0.03, 0.01))
        html = self.report()
        self.assertIn("halves of random splits of the one file", html)
        self.assertNotIn("independent reference", html)

    def test_data_of_another_system_are_called_so(self):
        write_plane(self.folder, self.rows() * [1.0, 2.0], self.rows(), deck=self.OWN,
                    importance_ess=entry(0.23))
        answer = answer_of(self.report())
        self.assertIn("either the flow or the data differ from exp(−βU)", answer)
        self.assertIn("the data are not samples of exp(−βU) of this deck", answer)

    def test_missing_error_of_one_walker_is_explained(self):
        write_plane(self.folder, self.rows(), self.rows(), deck=self.OWN, nll_validation=entry(2.5))
        self.assertIn("(no error: one walker)", self.report())

    def test_file_of_few_rows_has_a_report(self):
        write_plane(self.folder, self.rows()[:5], self.rows(), deck=self.OWN)
        self.assertIn("too few rows", self.report())


class Floors(unittest.TestCase):
    """The rule for “at the floor”, against numbers worked out by other means."""

    @classmethod
    def setUpClass(cls):
        sys.path.insert(0, str(REPORT.parent))
        sys.dont_write_bytecode = True
        import coordinates
        import deck_echo
        import distance_floor
        import quantity
        import system_truth
        import two_particle_truth
        cls.floors, cls.truth = distance_floor, two_particle_truth
        cls.coordinates, cls.deck, cls.system = coordinates, deck_echo, system_truth
        cls.quantity = quantity

    def test_margin_is_the_prediction_interval(self):
        # t(0.975, 19) = 2.093 from printed tables
        self.assertAlmostEqual(self.floors.margin_of(1.0, 20, 1, level=0.05),
                               2.0930 * np.sqrt(1.05), places=3)

    def test_false_alarms_of_a_family_stay_below_the_level(self):
        random = np.random.default_rng(5)
        tests, trials = 12, 4000
        draws = random.standard_normal((trials, tests, PAIRS + 1))
        spread = draws[..., 1:].std(-1, ddof=1)
        outside = np.abs(draws[..., 0] - draws[..., 1:].mean(-1)) > \
            self.floors.margin_of(1.0, PAIRS, tests) * spread
        alarms = int(outside.any(-1).sum())
        # At most 1% of 4000 expected; 75 is 5.6 standard errors above.
        self.assertLessEqual(alarms, 75)
        self.assertGreater(alarms, 8)

    def test_all_kinds_of_distance_are_counted(self):
        import run_folder
        from quantity import Quantity
        metrics = {}
        for kind in self.floors.KINDS:
            metrics[f"w2_{kind}"] = Quantity(1.0)
            metrics[f"w2_{kind}_floor"] = Quantity(1.0, 0.1, n=PAIRS, spread=0.4)
        case = run_folder.Case("one", Path("."), {}, metrics)
        verdicts = self.floors.judge_all([case], ["one"])
        self.assertEqual({v.margin for v in verdicts}, {self.floors.margin_of(0.4, PAIRS, 3)})

    def test_detectable_error_is_seen_every_second_time(self):
        # Two sets of n normal numbers, one moved: W2² of the moved sets is floor² + move² on average.
        random, n, trials = np.random.default_rng(3), 400, 2000
        a, b = (np.sort(random.standard_normal((trials, n))) for _ in range(2))
        floors = np.sqrt(np.mean((a - b) ** 2, axis=1))
        spread, mean = floors.std(ddof=1), floors.mean()
        verdict = self.floors.Verdict("one", "r", mean, None, n, mean, spread, PAIRS,
                                      self.floors.margin_of(spread, PAIRS, 12))
        moved = np.sqrt(np.mean((a - b + verdict.detectable) ** 2, axis=1))
        seen = np.mean(moved > mean + verdict.margin)
        self.assertTrue(0.3 < seen < 0.7, seen)

    def test_autocorrelation_time_is_that_of_a_known_process(self):
        # x' = a·x + noise has (1 + a)/(1 - a); the bounds are 6 standard deviations over seeds
        random, a = np.random.default_rng(2), 0.9
        noise = random.standard_normal((8, 20000))
        x = np.zeros_like(noise)
        for i in range(1, noise.shape[1]):
            x[:, i] = a * x[:, i - 1] + noise[:, i]
        self.assertAlmostEqual(self.coordinates.autocorrelation_time(x), 19.0, delta=2.5)
        self.assertAlmostEqual(self.coordinates.autocorrelation_time(noise), 1.0, delta=0.15)
        self.assertIsNone(self.coordinates.autocorrelation_time(np.ones((2, 100))))

    def test_double_well_has_its_own_numbers(self):
        # log Z by an independent sum over a coarse grid; trapezoids converge fast for smooth densities
        system = {"kind": "double-well", "beta": 3.0, "barrier": 1.0, "tilt": 0.2, "stiffness": 2.0}
        x, y = np.meshgrid(np.linspace(-4, 4, 801), np.linspace(-6, 6, 801))
        weight = np.exp(-3.0 * ((x * x - 1) ** 2 + 0.2 * x + 2.0 * y * y))
        truth = self.system.lookup(system)
        self.assertAlmostEqual(truth.log_z, np.log(weight.sum() * 0.01 * 0.015), places=9)
        self.assertAlmostEqual(truth.marginals[0].mean, (weight * x).sum() / weight.sum(), places=9)
        right = (weight * np.where(x > 1e-9, 1.0, np.where(x < -1e-9, 0.0, 0.5))).sum() / weight.sum()
        self.assertAlmostEqual(truth.averages["prob_right_well"], right, places=4)
        self.assertIsNone(self.system.lookup({**system, "energy_cutoff": 0.1}))
        self.assertIsNone(self.system.lookup({**system, "tilt": 1e30}))

    def test_deck_is_read_with_its_cases(self):
        deck = self.deck.DeckSettings('a: { b = [1, 2]; c = "x;}#\\"y"; d = true; }; # e\n'
                                      'cases: ( { name = "one"; }, { name = "two"; a: { d = 3L; }; } );')
        self.assertEqual((deck.get("one", "a.b"), deck.get("one", "a.c")), ([1, 2], 'x;}#"y'))
        self.assertEqual((deck.get("one", "a.d"), deck.get("two", "a.d")), (True, 3))
        self.assertIsNone(deck.get("two", "a.e.f"))
        for odd in ("", "{", "a = ", "a: { b = 1;", "(((", "a b c", "a = q;", '"'):
            self.assertIsNone(self.deck.DeckSettings(odd).get("one", "x.y"))

    def test_numbers_have_the_digits_of_their_errors(self):
        q = self.quantity
        for value, error, text in ((1.98841, 0.0021, "1.988 ± 0.002"), (1234.5678, 30.0, "1\u2009235 ± 30"),
                                   (1.98841, 0.0123, "1.988 ± 0.012"), (1e-5, 2e-8, "0.00001000 ± 0.00000002")):
            self.assertEqual(q.with_error(q.Quantity(value, error)), text)
        self.assertEqual((q.plain(90.0), q.plain(0.25644395279), q.number(-0.04, 1)), ("90", "0.25644", "0.0"))

    def test_truth_is_a_density_with_its_own_mean(self):
        _, truths = self.truth.load()
        self.assertEqual([truth.softening for truth in truths], [softening for _, softening in CASES])
        for truth in truths:
            self.assertAlmostEqual(np.trapz(truth.density, truth.r), 1.0, places=4)
            self.assertAlmostEqual(np.trapz(truth.density * truth.r, truth.r), truth.mean_r, places=4)
            self.assertAlmostEqual(truth.probability_below(0.8), truth.prob_r_below, places=4)

    def test_smallest_of_many_draws_is_where_one_in_so_many_lies(self):
        truth = self.truth.singular()
        median, low, high = truth.smallest_of(12000)
        self.assertTrue(low < median < high)
        # P(none of n below m) = 1/2
        self.assertAlmostEqual(12000 * truth.probability_below(median), np.log(2), delta=0.03)


if __name__ == "__main__":
    unittest.main()
