"""What the paper prints of alanine dipeptide, sections 6.2 and 6.3, and whether a run is of that molecule."""

RESIDUES = ["ACE", "ALA", "NME"]
SUBSAMPLE_W2 = "9.21"  # degrees, 1,000 points of each set
POINTS = 1000
# Table 2 as printed: real data, without penalty, with penalty. By the metric that it is beside here.
COLUMNS = ("reference", "nll", "penalty")
TABLE_2 = {
    "min_r_nonbonded": ("0.161", "0.040", "0.154"),
    "lj_max": ("−9.9", "1.4·10⁸", "−6.6"),
    "lj_mean": ("−12.1", "30\u2009600", "−12.2"),
    "w2_pca": ("0.0", "0.50", "0.76"),
}
HEADINGS = ("paper: real data", "paper: without penalty", "paper: with penalty")


def are_papers(subjects):
    """Are all of them of ACE-ALA-NME?"""
    return all(s.topology is not None and s.topology.residues == RESIDUES for s in subjects)


def printed(metric, column):
    return TABLE_2[metric][COLUMNS.index(column)] if metric in TABLE_2 and column in COLUMNS else None
