import pytest

from fdnn.files.atomic import replacing


def test_whole_or_not_at_all(tmp_path) -> None:
    target = tmp_path / "new" / "x.png"
    with replacing(target) as temporary:
        assert (temporary.parent, temporary.suffix) == (target.parent, ".png")
        temporary.write_bytes(b"1")
        assert not target.exists()
    assert target.read_bytes() == b"1"
    for error in (KeyboardInterrupt, OSError(28, "No space left on device"), SystemExit):
        with pytest.raises(BaseException), replacing(target) as temporary:  # noqa: B017, PT011, PT012
            temporary.write_bytes(b"2")
            raise error
        assert target.read_bytes() == b"1"
        assert [p.name for p in target.parent.iterdir()] == ["x.png"]


def test_an_error_of_the_system_names_the_file(tmp_path) -> None:
    with pytest.raises(OSError, match="No space left") as caught, replacing(tmp_path / "x.md"):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(tmp_path / "x.md")
