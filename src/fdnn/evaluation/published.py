"""Scores printed in the paper (Cao, Yao, Liang 2020), to stand beside measured ones."""

from __future__ import annotations

Score = tuple[float, float]

#: Table 3: method -> set -> scale -> (PSNR in dB, SSIM), means over images.
TABLE_3: dict[str, dict[str, dict[int, Score]]] = {
    "Bicubic": {
        "Set5": {3: (30.39, 0.8682), 4: (28.42, 0.8104)},
        "Set14": {3: (27.55, 0.7742), 4: (26.0, 0.7027)},
        "B100": {3: (27.21, 0.7385), 4: (25.96, 0.6675)},
    },
    "A+": {
        "Set5": {3: (32.58, 0.9088), 4: (30.28, 0.8603)},
        "Set14": {3: (29.13, 0.8188), 4: (27.32, 0.7491)},
        "B100": {3: (28.29, 0.7835), 4: (26.82, 0.7087)},
    },
    "SRCNN": {
        "Set5": {3: (32.75, 0.909), 4: (30.48, 0.8628)},
        "Set14": {3: (29.28, 0.8209), 4: (27.49, 0.7503)},
        "B100": {3: (28.41, 0.7863), 4: (26.9, 0.7101)},
    },
    "VDSR": {
        "Set5": {3: (33.66, 0.9213), 4: (31.35, 0.8838)},
        "Set14": {3: (29.77, 0.8314), 4: (28.01, 0.7674)},
        "B100": {3: (28.82, 0.7976), 4: (27.29, 0.7251)},
    },
    "DEGREE2": {
        "Set5": {3: (33.39, 0.9182), 4: (31.03, 0.8761)},
        "Set14": {3: (29.61, 0.8275), 4: (27.73, 0.7597)},
        "B100": {3: (28.63, 0.7916), 4: (27.07, 0.7177)},
    },
    "ESCN": {
        "Set5": {3: (33.28, 0.9173), 4: (31.02, 0.8774)},
        "Set14": {3: (29.51, 0.8264), 4: (27.75, 0.7611)},
        "B100": {3: (28.58, 0.7917), 4: (27.11, 0.7197)},
    },
    "SML": {
        "Set5": {3: (33.5, 0.9175), 4: (31.26, 0.8791)},
        "Set14": {3: (29.58, 0.8262), 4: (27.76, 0.7593)},
        "B100": {3: (28.55, 0.7887), 4: (27.06, 0.7155)},
    },
    "MSDEPC": {
        "Set5": {3: (33.7, 0.9225), 4: (31.41, 0.8836)},
        "Set14": {3: (29.78, 0.8319), 4: (28.02, 0.7679)},
        "B100": {3: (28.88, 0.7974), 4: (27.3, 0.7249)},
    },
    "FDNN": {
        "Set5": {3: (33.68, 0.9213), 4: (31.17, 0.8813)},
        "Set14": {3: (29.8, 0.832), 4: (27.93, 0.7651)},
        "B100": {3: (28.8, 0.7976), 4: (27.22, 0.7236)},
    },
}

#: Table 2: image of Set5 -> method -> (PSNR in dB, SSIM), scale 3.
TABLE_2: dict[str, dict[str, Score]] = {
    "baby": {
        "Bicubic": (33.92, 0.9033),
        "A+": (35.17, 0.9228),
        "SRCNN": (35.25, 0.9241),
        "VDSR": (35.39, 0.9269),
        "DEGREE2": (35.34, 0.9249),
        "ESCN": (35.35, 0.9262),
        "FDNN": (35.41, 0.927),
    },
    "bird": {
        "Bicubic": (32.58, 0.9264),
        "A+": (35.76, 0.9563),
        "SRCNN": (35.48, 0.9549),
        "VDSR": (36.67, 0.9649),
        "DEGREE2": (36.37, 0.9625),
        "ESCN": (36.22, 0.9617),
        "FDNN": (36.75, 0.9648),
    },
    "butterfly": {
        "Bicubic": (24.03, 0.8232),
        "A+": (27.35, 0.9112),
        "SRCNN": (27.95, 0.9098),
        "VDSR": (29.95, 0.9428),
        "DEGREE2": (29.49, 0.9369),
        "ESCN": (28.87, 0.93),
        "FDNN": (29.87, 0.941),
    },
    "head": {
        "Bicubic": (32.88, 0.7996),
        "A+": (33.73, 0.8271),
        "SRCNN": (33.71, 0.8272),
        "VDSR": (33.97, 0.8341),
        "DEGREE2": (33.88, 0.8298),
        "ESCN": (33.92, 0.8319),
        "FDNN": (33.94, 0.8335),
    },
    "woman": {
        "Bicubic": (28.56, 0.8902),
        "A+": (31.3, 0.929),
        "SRCNN": (31.37, 0.9291),
        "VDSR": (32.35, 0.9409),
        "DEGREE2": (31.87, 0.9368),
        "ESCN": (32.01, 0.9369),
        "FDNN": (32.37, 0.9403),
    },
}

#: Table 1: method -> set -> scale -> PSNR in dB.
TABLE_1: dict[str, dict[str, dict[int, float]]] = {
    "VDSR10 MSE": {
        "Set5": {2: 36.65, 3: 32.83, 4: 30.4},
        "Set14": {2: 32.41, 3: 29.29, 4: 27.4},
        "B100": {2: 31.44, 3: 28.49, 4: 26.94},
    },
    "VDSR10 MSE-KL": {
        "Set5": {2: 36.96, 3: 32.88, 4: 30.53},
        "Set14": {2: 32.6, 3: 29.32, 4: 27.48},
        "B100": {2: 31.55, 3: 28.5, 4: 26.96},
    },
}

#: Table 4, scale 3: method -> set -> (PSNR in dB, SSIM); 26.47 printed for one SSIM is a misprint.
TABLE_4: dict[str, dict[str, tuple[float, float | None]]] = {
    "FCNN": {
        "Set5": (32.15, 0.8999),
        "Set14": (29.39, 0.8375),
        "B100": (28.15, None),
    },
    "C8D2": {
        "Set5": (33.65, 0.9214),
        "Set14": (29.74, 0.8313),
        "B100": (28.78, 0.7972),
    },
    "C7D3": {
        "Set5": (33.65, 0.9214),
        "Set14": (29.76, 0.8316),
        "B100": (28.78, 0.7973),
    },
    "C6D4": {
        "Set5": (33.65, 0.9214),
        "Set14": (29.75, 0.8316),
        "B100": (28.78, 0.7973),
    },
    "C5D5": {
        "Set5": (33.66, 0.9213),
        "Set14": (29.74, 0.8314),
        "B100": (28.78, 0.7972),
    },
    "C4D6": {
        "Set5": (33.65, 0.9214),
        "Set14": (29.75, 0.8316),
        "B100": (28.78, 0.7972),
    },
    "C3D7": {
        "Set5": (33.67, 0.9216),
        "Set14": (29.77, 0.8318),
        "B100": (28.79, 0.7975),
    },
    "C2D8": {
        "Set5": (33.66, 0.9215),
        "Set14": (29.75, 0.8317),
        "B100": (28.79, 0.7975),
    },
    "FDNN": {
        "Set5": (33.68, 0.9213),
        "Set14": (29.8, 0.832),
        "B100": (28.8, 0.7976),
    },
}


def best(set_name: str, scale: int) -> Score | None:
    """Find the highest PSNR and the highest SSIM of all methods in Table 3.

    They may be of two methods. None where the table has no such column.
    """
    cells = [sets.get(set_name, {}).get(scale) for sets in TABLE_3.values()]
    printed = [cell for cell in cells if cell]
    if not printed:
        return None
    return max(psnr for psnr, _ in printed), max(ssim for _, ssim in printed)


#: Classes that are not called what the paper calls them.
NAMES = {"APlus": "A+"}


def method(model: str) -> str:
    """Name the paper's method that a model of ours stands beside.

    Args:
        model: As tables call it, such as ``FDNN + self-ensemble`` or ``APlus``.
    """
    name = model.split(" + ")[0]
    return NAMES.get(name, name)
