"""Records in, pictures out: no files, no objective, no streamlit.

Colours and templates are explicit, so a figure looks the same in the app, a notebook and a file,
and the same record gives the same bytes. What moves (the ten steps) moves inside the figure, by a
script (``player``) that the page and the exported one share. Plotly draws for screens; ``static``
draws the same choices of Fig. 1 with matplotlib for print, ``to_picture`` any other figure.
"""

from __future__ import annotations

from landscape.figures.collapse import figure_collapse
from landscape.figures.convergence import figure_2
from landscape.figures.curves import losses
from landscape.figures.edges import figure_alpha, figure_timeline
from landscape.figures.files import rows_csv, to_csv, to_html, to_npz, to_page
from landscape.figures.panels import figure_1
from landscape.figures.pictures import to_picture
from landscape.figures.profile import along_line
from landscape.figures.searches import figure_search
from landscape.figures.side_by_side import minus, side_by_side
from landscape.figures.space import figure_3d
from landscape.figures.static import static

__all__ = [
    "along_line",
    "figure_1",
    "figure_2",
    "figure_3d",
    "figure_alpha",
    "figure_collapse",
    "figure_search",
    "figure_timeline",
    "losses",
    "minus",
    "rows_csv",
    "side_by_side",
    "static",
    "to_csv",
    "to_html",
    "to_npz",
    "to_page",
    "to_picture",
]
