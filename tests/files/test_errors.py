"""What commands end with."""

import pytest

from fdnn.files.errors import UserError, one_line


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UserError("no such thing"), 1, "error: no such thing\n"),
        (OSError(28, "No space left", "a.png"), 1, "error: No space left: a.png\n"),
        (UserError("no a\nb\x1b[31m.png"), 1, "error: no a\\nb\\x1b[31m.png\n"),
        (KeyboardInterrupt(), 130, "error: stopped by SIGINT\n"),
    ],
)
def test_one_line(capsys, error, status, line) -> None:
    @one_line
    def main() -> int:
        raise error

    assert main() == status
    assert capsys.readouterr().err == line
