"""One look for all figures: colours that colour-blind readers tell apart (Okabe and Ito), letters
that are readable from the back of a room, PNG and PDF of each."""

import base64
import os
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 (the back end has to be chosen first)

BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#767676"

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 14,
    "axes.titlesize": 15,
    "axes.labelsize": 14,
    "xtick.labelsize": 12.5,
    "ytick.labelsize": 12.5,
    "legend.fontsize": 12.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1.0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "figure.dpi": 100,
    "savefig.dpi": 130,
    "pdf.fonttype": 42,
    "figure.constrained_layout.use": True,
}


def apply_style():
    matplotlib.rcParams.update(STYLE)


def save(figure, folder, stem) -> Path:
    """Write stem.png and stem.pdf, each whole or not at all, and give the PNG's path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Equal runs give equal files: no dates and no program versions inside.
    for suffix, metadata in ((".pdf", {"CreationDate": None, "Producer": None, "Creator": None}),
                             (".png", {"Software": None})):
        temporary = folder / f".{stem}{suffix}.tmp"
        temporary.unlink(missing_ok=True)  # what lies there may be a link to elsewhere
        figure.savefig(temporary, format=suffix[1:], metadata=metadata,
                       bbox_inches="tight", pad_inches=0.12)
        os.replace(temporary, folder / (stem + suffix))
    plt.close(figure)
    return folder / (stem + ".png")


def as_data_uri(path) -> str:
    return "data:image/png;base64," + base64.b64encode(Path(path).read_bytes()).decode("ascii")


def case_ticks(axes, labels):
    """One tick for each case along x."""
    axes.set_xticks(range(len(labels)))
    axes.set_xticklabels(labels)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.grid(axis="x", visible=False)


def panel_letter(axes, letter):
    axes.set_title(f"({letter})", loc="left", fontweight="bold")
