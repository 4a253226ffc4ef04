"""The paper in two minutes: a toy whose answer is known, and what its symbols mean."""

from __future__ import annotations

import math
import re
from functools import partial

import streamlit as st
from parts.reproduce import printed
from parts.take import File, Files, Said, take
from parts.toy import Shown, play, record, rows

from landscape.figures import figure_1, rows_csv, static, to_html
from landscape.learn import FILE, OPTIMIZERS, toy
from zarts.optimizers import method_of

SECTIONS = (
    (
        "Two kinds of unknowns",
        "An architecture search learns the weights **ω** of a network that holds all candidate "
        "operations, and **α**, which says how much each operation counts. α is good if the "
        "*validation* loss is low with the weights that fit it: those that are best on the "
        "*training* loss at this α (Eq. 1–3). To find them anew for every α is far too costly.",
    ),
    (
        "DARTS' shortcut",
        "First order takes ω as it is now and follows the gradient of that loss, $L_0$; second "
        "order lets ω make one step, $L_1$. Both are cheap. But $L_0$ does not know how ω would "
        "answer to another α, so its minimum may lie elsewhere, here at the white "
        "square, and a perfect descent ends at the wrong place.",
    ),
    (
        "What M steps change",
        "ZARTS trains a copy of ω for **M** steps, takes the loss, $L_M$, and throws the copy "
        "away. Choose M above: the surface turns from $L_0$ nearly into the true one, $L_\\infty$, "
        "and its minimum moves to ★. The paths of ZARTS follow. Those of DARTS stay.",
    ),
    (
        "How zero-order optimizers ask",
        "A gradient through M steps is costly, so ZARTS asks only for values of $L_M$ near α. "
        "**RS** makes a slope of them (Eq. 4), **MGS** averages random steps by how good they are "
        "(Eq. 5, 8), **GLD** takes the best of several radii (Eq. 10). *Another draw* draws other "
        "steps. With M = 0 they go wrong as DARTS does: it is M that helps.",
    ),
)
SYMBOLS = (  # symbol, meaning, equation of the paper
    ("α, ω", "architecture parameters, d of them; weights of the network", "Eq. 1–3"),
    ("ω*(α)", "the weights that are best on the training loss at α", "Eq. 1–3"),
    ("M, $L_M$", "training steps of ω; the validation loss after them", "Alg. 1"),
    ("u*", "the step that is made: α ← α + u*", "Eq. 4, 5"),
    ("N, $u_i$", "how many candidate steps are drawn; one of them", "Eq. 4, 8"),
    ("μ, ξ, φ(d)", "RS: length of a probe; learning rate; a factor", "Eq. 4"),
    ("p(u), τ", "MGS: how probable a step is made by its loss; temperature", "Eq. 5"),
    ("q(u), $c_i$", "MGS: what steps are drawn from; their weights", "Eq. 8"),
    ("R, r", "GLD: largest and smallest radius", "Eq. 10"),
    ("Q", "condition number: how much $L_M$ moves with α", "Eq. 9"),
)
PAGES = (
    ("figure_1", "Landscape", "landscape"),
    ("search", "α over epochs", "timeline"),
    ("architecture", "The cells", "account_tree"),
)
READING = """
The page Landscape shows the same of a real supernet: two losses on one plane, ★ where each is
lowest *on the grid*, and the paths. Look whether the stars are in different places, whether one
surface is steeper, and where paths end on the right-hand surface.
"""
SLICE = """
- **It can tell** whether two losses differ on one plane, and what an optimizer kept in it does.
- **One plane of many.** α has dozens to hundreds of entries. Two random directions span the plane;
  a minimum on it is none of the whole space.
- **Projection.** Of a path through all of α one sees the shadow; beside it stands what is outside.
- **Noise.** A loss is an estimate on some batches. Here it is exact.
- **One ω.** A surface belongs to one snapshot of ω. A search trains ω on, and the surface moves.
- **This toy** shows that the shortcut *can* mislead. In a network it has to be measured.
"""
TOY = """
ω and α have two entries each, and both losses are quadratic, so every $L_M$, its gradient and its
minimum have a closed form (`zarts.Quadratic`):

    L_train = ½ (ω − Aα)ᵀ H (ω − Aα)            L_val = ½ ‖ω − c‖² + ½ (α − b)ᵀ D (α − b)
    ω*_M(α) = Aα + (I − ξH)^M (ω₀ − Aα)         ξ = 0.1

    A = [1, −0.7; 0.2, 0.6]    H = [2, 0.5; 0.5, 4]    D = diag(0.6, 1.3)
    b = (−0.55, 0.5)           c = (1.55, −1.01)       ω₀ = (−0.22, −0.34)

The paths are of this project's optimizers, ten updates from each of {count} × {count} starts, with
ω frozen and the same draws at all starts. While the handle is held, what you see is blended from
the four starts around it; let go, it settles on a computed one. Settings: {settings}.
`python -m landscape.learn.make` computes all of it again.
"""


def whole(text: str) -> str:
    """The same, with no line that ends inside of "Eq. 1–3"."""

    def kept(found: re.Match[str]) -> str:
        return found[0].replace(" ", "\u00a0").replace("–", "\u2060–\u2060")

    return re.sub(r"(Eq|Alg)\. [\d–, ]*\d", kept, text)


def takeaway(shown: Shown) -> str:
    """What is seen, of these very paths."""
    known = toy()
    left = {
        name: float(
            known.excess(known.path(name, shown.steps, shown.draw, shown.start)[-1], math.inf)
        )
        for name in OPTIMIZERS
    }
    darts = left["darts-1"]
    zarts = max(value for name, value in left.items() if name.startswith("zarts"))
    if shown.steps == 0:
        return (
            "With M = 0, ZARTS too asks only L₀, as DARTS-1st does, and misses the true minimum ★."
        )
    after = "one step" if shown.steps == 1 else f"{shown.steps} steps"
    return (
        f"DARTS-1st follows L₀ and ends {darts:.2f} above the true minimum ★. "
        f"ZARTS asks the loss after {after} of training and ends at most {zarts:.2f} above it."
    )


def taken(shown: Shown) -> tuple[Files, list[Said]]:
    """The numbers, and what makes them again."""
    x, y = shown.start
    lines = "from landscape.learn import toy\n\nknown = toy()"
    path = f'known.path("zarts-mgs", {shown.steps}, {shown.draw}, ({x:g}, {y:g}))'
    made = record(shown)
    files: Files = {
        "Figure": [
            File("HTML", "learn.html", lambda: to_html(figure_1(made), made)),
            *printed("learn", partial(static, made)),
        ],
        "Data": [
            File("CSV, what is shown", "learn.csv", lambda: rows_csv(rows(shown))),
            File("NPZ, all starts", "learn.npz", FILE.read_bytes),
        ],
    }
    return files, [
        Said("All of it again, in a terminal", "python -m landscape.learn.make"),
        Said("A path in Python", f"{lines}\nprint({path})", "python"),
    ]


with st.container(horizontal=True, vertical_alignment="bottom"):
    st.title("ZARTS in two minutes", width="content")
    st.space("stretch")
    above = st.container(horizontal=True, width="content")
place = st.empty()
shown = play()
place.markdown(f"**{takeaway(shown)}**")
with above:
    take(*taken(shown))
with st.expander("The same numbers as a table", icon=":material/table:"):
    table = rows(shown)
    number = st.column_config.NumberColumn(format="%.3f")
    numbers = {name: number for name, value in table[0].items() if isinstance(value, float)}
    st.dataframe(
        table, hide_index=True, column_config=numbers, alt="Where the paths end, and how well"
    )
for pair in (SECTIONS[:2], SECTIONS[2:]):
    for column, (title, text) in zip(st.columns(2, gap="large"), pair, strict=True):
        column.subheader(title)
        column.markdown(whole(text))
left, right = st.columns(2, gap="large")
with left:
    st.subheader("Symbols")
    lines = [f"| {symbol} | {meaning} | {whole(where)} |" for symbol, meaning, where in SYMBOLS]
    st.markdown("\n".join(["| symbol | meaning | paper |", "|---|---|---|", *lines]))
with right:
    st.subheader("How to read Landscape")
    st.markdown(READING)
    with st.container(horizontal=True):
        for file, name, icon in PAGES:
            st.page_link(f"views/{file}.py", label=name, icon=f":material/{icon}:", width="content")
    st.subheader("What a slice can and cannot tell")
    st.markdown(SLICE)
with st.expander("The toy, exactly", icon=":material/function:"):
    said = "; ".join(
        f"{method_of(name).style.label}: "
        + ", ".join(f"{key} = {value}" for key, value in settings.items())
        for name, settings in OPTIMIZERS.items()
    )
    st.markdown(TOY.format(count=len(toy().starts), settings=said))
