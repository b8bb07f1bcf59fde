"""The page: two tabs over :mod:`fdnn.demo.handlers`. Needs the extra ``fdnn[demo]``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from fdnn.data.sets import SAMPLE_PHOTOS, find_set
from fdnn.demo import limits
from fdnn.demo.handlers import Compared, Magnified, compare, magnify
from fdnn.files.errors import UserError
from fdnn.images.io import EXTENSIONS
from fdnn.models import Network

TITLE = "FDNN super-resolution"
#: Uploads and results are deleted after so many seconds, looked at so often.
KEEP, LOOK = 3600, 600
#: Requests that may wait; one is computed at a time.
QUEUE = 8

CSS = """
.gradio-container { width: 100%; max-width: 1280px !important; margin: auto; }
.detail img { image-rendering: pixelated; }
footer { display: none !important; }
"""


def examples() -> list[str]:
    """Name the photographs inside scikit-image that the page offers."""
    chosen = ("chelsea", "coffee", "camera", "astronaut", "rocket")
    paths = {path.stem: str(path) for name in SAMPLE_PHOTOS for path in find_set(name).paths}
    return [paths[stem] for stem in chosen]


def build(networks: Mapping[str, Network]) -> gr.Blocks:
    """Lay out the page.

    Args:
        networks: Name -> network, as :func:`fdnn.demo.handlers.find_networks` returns them.
    """
    megapixels = f"{limits.MAX_PIXELS / 1e6:.0f} megapixels"
    # Served from where they lie: copies would be deleted with the uploads.
    gr.set_static_paths([*examples()])
    page = gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(LOOK, KEEP), fill_width=True
    )
    with page:
        gr.Markdown(
            f"# {TITLE}\nA fully deconvolutional network (Cao, Yao and Liang, 2020). Images stay "
            "on the machine that runs this page and are deleted within "
            f"{(KEEP + LOOK) // 60} minutes."
        )
        with gr.Tab("Magnify", id="magnify"):
            with gr.Row():
                with gr.Column(scale=1, min_width=280):
                    upload, choice, samples = _inputs(
                        networks, "magnify", f"{limits.TEXT}; the result at most {megapixels}."
                    )
                with gr.Column(scale=3, min_width=480):
                    slider = gr.ImageSlider(
                        label="bicubic | network (drag the line, wheel to zoom)",
                        type="filepath",
                        format="png",
                        interactive=False,
                        buttons=["fullscreen"],
                        max_height=620,
                        elem_id="magnify-slider",
                    )
                    text = gr.Markdown(elem_id="magnify-text")
                    button = gr.DownloadButton(
                        "Download PNG at full resolution",
                        interactive=False,
                        elem_id="magnify-download",
                    )

            def no_result() -> list[Any]:
                return [None, "", gr.DownloadButton(value=None, interactive=False)]

            def show_magnified(made: Magnified, name: str) -> list[Any]:
                return [
                    (str(made.before), str(made.after)),
                    f"{made.text} by the weights {name}",
                    gr.DownloadButton(value=str(made.result), interactive=True),
                ]

            show = _event(magnify, networks, show_magnified, no_result)
            _wire(upload, choice, samples, show, [slider, text, button])

        with gr.Tab("Compare", id="compare"):
            gr.Markdown(
                "Shrinks an image by MATLAB's bicubic, magnifies it again, and scores the result "
                "against the original by the papers' protocol: PSNR in dB / SSIM of the luma, "
                "`scale` pixels of the border left out."
            )
            with gr.Row():
                with gr.Column(scale=1, min_width=280):
                    upload, choice, samples = _inputs(
                        networks, "compare", f"{limits.TEXT} and {megapixels}."
                    )
                with gr.Column(scale=3, min_width=480):
                    with gr.Row():
                        images = [_panel(f"compare-image-{i}") for i in range(3)]
                    with gr.Row():
                        details = [_panel(f"compare-detail-{i}", ["detail"]) for i in range(3)]
                    text = gr.Markdown(elem_id="compare-text")

            def no_comparison() -> list[Any]:
                return [*[gr.Image(None, label=" ")] * 6, ""]

            def show_compared(made: Compared, name: str) -> list[Any]:
                return [
                    *(
                        gr.Image(str(file), label=caption)
                        for file, caption in zip(made.images, made.captions, strict=True)
                    ),
                    *(gr.Image(str(file), label="detail") for file in made.details),
                    f"Weights {name}, {made.text} The detail is where bicubic is furthest from "
                    "the original.",
                ]

            show = _event(compare, networks, show_compared, no_comparison)
            _wire(upload, choice, samples, show, [*images, *details, text])
    page.queue(max_size=QUEUE, default_concurrency_limit=1)
    return page


def _inputs(networks: Mapping[str, Network], tab: str, text: str) -> tuple[Any, Any, Any]:
    upload = gr.File(
        label="Image",
        file_types=sorted(EXTENSIONS - {".gif"}),
        type="filepath",
        height=150,
        elem_id=f"{tab}-upload",
    )
    gr.Markdown(text)
    choice = gr.Dropdown(
        [(_label(name, networks), name) for name in networks],
        value=next(iter(networks)),
        label="Scale and network",
        elem_id=f"{tab}-weights",
    )
    samples = gr.Dataset(
        components=[gr.Image(type="filepath", render=False)],
        samples=[[path] for path in examples()],
        label="Or one of these (from scikit-image)",
        elem_id=f"{tab}-examples",
    )
    return upload, choice, samples


def _label(name: str, networks: Mapping[str, Network]) -> str:
    """Name weights by their scale alone where that is enough, else by their network too."""
    kinds = {net.title for net in networks.values()}
    net = networks[name]
    return f"x{net.scale}" if len(kinds) == 1 else f"x{net.scale} {net.title}"


def _panel(name: str, classes: list[str] | None = None) -> Any:
    return gr.Image(
        label=" ",
        type="filepath",
        format="png",
        interactive=False,
        buttons=["fullscreen"],
        min_width=140,
        elem_id=name,
        elem_classes=classes,
    )


def _event(
    handler: Callable[[Path, Network, Path], Any],
    networks: Mapping[str, Network],
    show: Callable[[Any, str], list[Any]],
    blank: Callable[[], list[Any]],
) -> Callable[[str | None, str], Iterator[list[Any]]]:
    def event(path: str | None, name: str) -> Iterator[list[Any]]:
        # Gradio has copied the files by the time it asks for more, and the folder goes.
        with tempfile.TemporaryDirectory() as folder:
            if path is None:
                yield blank()
                return
            try:
                made = handler(Path(path), networks[name], Path(folder))
            except UserError as error:
                yield blank()
                raise gr.Error(str(error), print_exception=False) from None
            yield show(made, name)

    return event


def _wire(upload: Any, choice: Any, samples: Any, show: Any, outputs: list[Any]) -> None:
    how: dict[str, Any] = {"concurrency_id": "network", "trigger_mode": "always_last"}
    gr.on([upload.upload, upload.clear, choice.input], show, [upload, choice], outputs, **how)
    samples.click(lambda sample: sample[0], samples, upload, queue=False).then(
        show, [upload, choice], outputs, concurrency_id="network"
    )
