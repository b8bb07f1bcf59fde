"""Try the shipped weights in the browser.

fdnn demo, then open http://127.0.0.1:7860
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fdnn.demo import limits
from fdnn.demo.handlers import find_networks
from fdnn.files.errors import UserError, one_line
from fdnn.inference.pretrained import SHIPPED

#: Names of the weights that the page offers by default. The others are slower.
OFFERED = "fdnn_x[0-9]"


def serve(host: str, port: int, weights: Path | None = None) -> None:
    """Start the page and stay until stopped.

    Args:
        host: Address to listen on.
        port: Its port.
        weights: See :func:`fdnn.demo.handlers.find_networks`; default: the shipped FDNN.

    Raises:
        UserError: If the extra is not installed, there are no weights, or the port is taken.
    """
    networks = find_networks(SHIPPED, OFFERED) if weights is None else find_networks(weights)
    with tempfile.TemporaryDirectory(prefix="fdnn-demo-") as folder:
        # Read by Gradio when it is imported.
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            import gradio as gr
        except ModuleNotFoundError as error:
            raise UserError(f"the demo needs Gradio ({error}); pip install -e '.[demo]'") from None
        from fdnn.demo import page

        blocks = page.build(networks)
        # A service manager's stop ends like Ctrl+C: uploads are deleted.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            blocks.launch(
                server_name=host,
                server_port=port,
                share=False,
                max_file_size=limits.MAX_BYTES,
                max_threads=4,
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                theme=gr.themes.Default(
                    font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
                ),
                css=page.CSS,
                prevent_thread_lock=True,
                quiet=True,
            )
        except OSError as error:
            raise UserError(
                f"cannot listen on {host}:{port}; choose another --port ({error})"
            ) from None
        print(f"open http://{host}:{port}  (Ctrl+C stops)", flush=True)
        try:
            blocks.block_thread()
        finally:
            blocks.close(verbose=False)


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="fdnn demo",
        description="Try the shipped weights in the browser.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address; 0.0.0.0 lets others in")
    parser.add_argument("--port", type=int, default=7860, help="port")
    parser.add_argument(
        "--weights",
        type=Path,
        default=argparse.SUPPRESS,
        help="weights, or a folder of them (default: FDNN at x2, x3 and x4)",
    )
    options = parser.parse_args(args)
    if not 0 < options.port < 2**16:
        parser.error(f"--port must be 1 to 65535, got {options.port}")
    serve(options.host, options.port, getattr(options, "weights", None))
    return 0


if __name__ == "__main__":
    sys.exit(main())
