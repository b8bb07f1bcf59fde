"""The one exception that means "the user can mend this", and the line that commands end with."""

from __future__ import annotations

import functools
import re
import signal
import sys
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")


class UserError(Exception):
    """A problem in what the user gave; its text says what, the value received, and the remedy.

    The command line prints it without a traceback and exits with ``status``.
    """

    status = 1


class ImageError(UserError):
    """An image file that cannot be read, or cannot be used for what was asked."""


def words(error: BaseException) -> str:
    """Write what a library says of an error, which may fill several lines, in one."""
    return " ".join(str(error).split()) or type(error).__name__


def visible(text: str) -> str:
    """Spell control characters out, which names of files may hold and terminals obey."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], text)


def first_line(error: Exception) -> str:
    """Leave out what a library adds below the first line of its message."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), words(error))


def one_line(main: Callable[P, int]) -> Callable[P, int]:
    """End a command that fails for a reason its user can mend with one line on stderr.

    Args:
        main: Runs the command and returns its exit status.

    Returns:
        ``main``, for which :class:`UserError`, :class:`OSError` and Ctrl-C are messages and
        statuses.
    """

    @functools.wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print(f"error: {visible(str(error))}", file=sys.stderr)
            return error.status
        except OSError as error:
            parts = filter(None, (error.strerror or str(error), error.filename))
            print(f"error: {visible(': '.join(map(str, parts)))}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("error: stopped by SIGINT", file=sys.stderr)
            return 128 + signal.SIGINT

    return run
