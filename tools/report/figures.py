"""The paper's Figs. 4-7, remade from weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from fdnn.data.sets import find_set
from fdnn.evaluation.strips import comparison
from fdnn.models.weights import load

#: The paper's pictures: figure -> its name of the image, set, title of the image here, scale, crop
#: (left, top, side). The images of Set14 and B100 are numbered here.
FIGURES: dict[str, tuple[str, str, str, int, tuple[int, int, int]]] = {
    "Fig. 4": ("baby", "Set5", "baby", 3, (125, 160, 80)),
    "Fig. 5": ("baboon", "Set14", "img_001", 3, (290, 0, 80)),
    "Fig. 6": ("lenna", "Set14", "img_009", 4, (245, 225, 80)),
    "Fig. 7": ("148026", "B100", "img_021_SRF_3_HR", 4, (70, 130, 80)),
}


def draw_figures(weights: Mapping[int, Path], folder: Path) -> list[tuple[str, str, Path]]:
    """Remake the paper's Figs. 4-7 from weights.

    Args:
        weights: Scale -> folder of weights; figures of other scales are left out, as are those of
            images that a copy of a set calls otherwise.
        folder: Where the pictures go.

    Returns:
        (figure, caption, file) of each.

    Raises:
        UserError: If the images or weights cannot be read.
    """
    made = []
    for figure, (title, set_name, image, scale, box) in FIGURES.items():
        if scale not in weights:
            continue
        images = find_set(set_name)
        if image not in images.titles():
            continue
        path = images.paths[images.titles().index(image)]
        net = load(weights[scale])
        file = folder / f"{title}_x{scale}.png"
        picture = comparison(path, {net.title: net}, scale, box, f"{title} x{scale}")
        Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
        made.append((figure, f"{title} ({set_name}), x{scale}", file))
    return made
