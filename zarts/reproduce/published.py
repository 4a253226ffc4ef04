"""Numbers that papers published, to stand beside ours; each is marked as quoted where it is shown.

Sources: ZARTS (NeurIPS 2022), Tables 3 to 5; ROME (ICCV 2023), Tables 1 and 2, for what it measured
or took over from RobustDARTS (means of three searches). Of Table 2 of ZARTS no text is public from
which its cells could be taken, so there ours stand beside those of the methods it compares with.
"""

from __future__ import annotations

__all__ = ["QUOTED"]

_ROME = {
    "C10": {
        "DARTS": "4.66 ± 0.71, 4.42 ± 0.40, 4.12 ± 0.85, 6.95 ± 0.18",
        "ES": "3.05 ± 0.07, 3.41 ± 0.14, 3.71 ± 1.14, 4.17 ± 0.21",
        "ADA": "3.03 ± 0.08, 3.59 ± 0.31, 2.99 ± 0.34, 3.89 ± 0.67",
        "GDAS": "2.89 ± 0.09, 3.89 ± 0.17, 3.04 ± 0.10, 3.34 ± 0.10",
    },
    "C100": {
        "DARTS": "29.93 ± 0.41, 28.75 ± 0.92, 29.01 ± 0.24, 24.77 ± 1.51",
        "ES": "28.90 ± 0.81, 24.68 ± 1.43, 26.99 ± 1.79, 23.90 ± 2.01",
        "ADA": "24.94 ± 0.81, 26.88 ± 1.11, 24.55 ± 0.63, 23.66 ± 0.90",
        "GDAS": "24.49 ± 0.08, 24.57 ± 0.47, 22.86 ± 0.17, 24.14 ± 0.89",
    },
    "SVHN": {
        "DARTS": "9.88 ± 5.50, 3.69 ± 0.12, 4.00 ± 1.01, 2.90 ± 0.02",
        "ES": "2.80 ± 0.09, 2.68 ± 0.18, 2.78 ± 0.29, 2.55 ± 0.15",
        "ADA": "2.59 ± 0.07, 2.79 ± 0.22, 2.58 ± 0.07, 2.52 ± 0.06",
        "GDAS": "2.48 ± 0.04, 3.05 ± 0.02, 3.62 ± 0.36, 2.51 ± 0.06",
    },
}

# Study -> (row, column) -> text. Errors in percent; of Table 4 top-1 on ImageNet.
QUOTED: dict[str, dict[tuple[str, str], str]] = {
    "fig2": {("C10", "ZARTS-MGS"): "about 2.6 throughout, 4.0 M"},
    "table2": {
        (f"{data} S{number}", f"{method} (ROME)"): cell
        for data, rows in _ROME.items()
        for method, text in rows.items()
        for number, cell in enumerate(text.split(", "), 1)
    },
    "table3": {
        ("C10", "ZARTS-MGS"): "2.46, 2.54 ± 0.07, 3.7 ± 0.3 M",
        ("C100", "ZARTS-MGS"): "15.46, 16.29 ± 0.53, 4.1 ± 0.13 M",
        ("C10", "DARTS-1st"): "3.38 ± 0.23 (ROME)",
    },
    "table4": {
        ("ImageNet", "ZARTS-MGS, cell 1"): "24.3, 5.6 M, 647 M",
        ("ImageNet", "ZARTS-MGS, cell 2"): "24.5, 5.0 M, 573 M",
    },
    "table5": {
        ("C10", "GZAS"): "2.58, 2.66 ± 0.07, 0.3 GPU-days",
        ("C10", "P-ZARTS"): "2.30, 2.41 ± 0.15, 0.4 GPU-days",
        ("C10", "MergeZARTS"): "2.19, 2.36 ± 0.18, 0.5 GPU-days",
        ("C10", "GDAS"): "2.93 (ROME)",
        ("C10", "P-DARTS"): "2.81 ± 0.14 (ROME)",
    },
    "collapse": {},
}
