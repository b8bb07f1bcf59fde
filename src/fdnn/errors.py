"""The one exception that means "the user can mend this": shown as a single line."""

from __future__ import annotations


class UserError(Exception):
    """A problem in what the user gave; its text says what, the value received, and the remedy.

    The command line prints it without a traceback and exits with ``status``.
    """

    status = 1


class ImageError(UserError):
    """An image file that cannot be read, or cannot be used for what was asked."""
