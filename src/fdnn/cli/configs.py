"""Configs: what they may hold, how they are read, and what a run keeps of its own.

A stranger's must neither run programs nor bring this one down.
"""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, get_loader, set_loader, set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback

from fdnn.files.errors import UserError

#: What configs may name. To import a module is to run it, and a class is called with what the
#: config says: the rest of what is installed is out of reach of a stranger's config.
IMPORTS = (
    "fdnn.training.averaging",
    "fdnn.training.callbacks",
    "fdnn.training.losses",
    "fdnn.models",
    "fdnn.training.optim",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.plugins",
    "lightning.pytorch.profilers",
    "lightning.pytorch.strategies",
    "torch.optim",
)
#: Environment variable with further packages, separated by commas.
MORE_IMPORTS = "FDNN_IMPORTS"

HELP = " (--help lists all options)"

#: Bounds of a config's text. libyaml's own stack overflows at some ten thousand levels; values
#: that repeat each other (``*alias``) can grow without end in few bytes.
MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 50
MAX_ALIASES = 20


#: Options that follow others: target -> source, and what makes the one from the other.
LINKS: dict[str, tuple[str, Callable[[Any], Any] | None]] = {
    "model.net.init_args.scale": ("data.scale", None),
    "data.seed": ("seed_everything", int),
}

_load: Callable[[str], Any] = get_loader("yaml")


def load(text: str) -> Any:
    """Load YAML: a config, one that a config names, or an option's value.

    Raises:
        UserError: See :func:`check_text`.
    """
    check_text(text)
    return _load(text)


def guard() -> None:
    """Check all that is loaded, which may name ``IMPORTS`` and what the environment adds."""
    more = [name.strip() for name in os.getenv(MORE_IMPORTS, "").split(",") if name.strip()]
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*IMPORTS, *more])
    set_loader("yaml", load, (yaml.YAMLError,))


def check_linked(config: Mapping[str, Any], given: Sequence[str], files: Sequence[Any]) -> None:
    """Refuse values of ``LINKS`` that would do nothing, as those of their sources count.

    Args:
        config: What was parsed.
        given: Words of the command line.
        files: Configs that were read.

    Raises:
        UserError: If there is one.
    """
    options = _options(given)
    # What is given, its text or file, and of which part it is: an option may be a whole one.
    held = [(str(file), str(file), "") for file in files]
    held += [(name, text, name.removeprefix("--") + ".") for name, text in options]
    for target, (source, _) in LINKS.items():
        if {f"--{target}", f"--{target.replace('.init_args.', '.')}"} & dict(options).keys():
            raise UserError(f"--{target} would do nothing; set --{source}")
        for where, text, part in held:
            if not target.startswith(part):
                continue
            value = _held(text, target.removeprefix(part).split("."), Path())
            if value is not None and value != config[source]:
                raise UserError(
                    f"{where}: {target}={value} would do nothing beside "
                    f"{source}={config[source]}; leave it out"
                )


def check_order(given: Sequence[str]) -> None:
    """Refuse options whose values a config behind them replaces.

    Args:
        given: Words of the command line.

    Raises:
        UserError: If there is one.
    """
    before: list[tuple[str, list[str]]] = []
    for name, text in _options(given):
        if name != "--config":
            # Config and command line may both leave "init_args" out.
            keys = [key for key in name.removeprefix("--").split(".") if key != "init_args"]
            before.append((name, keys))
            continue
        for option, keys in before:
            held = None
            with suppress(OSError, ValueError, UserError, yaml.YAMLError):  # the parser will say it
                held = _held(text, keys, Path())
            if held is not None:
                raise UserError(
                    f"{option} would do nothing: --config {text} behind it sets that too; put "
                    "--config first"
                )


def _options(given: Sequence[str]) -> list[tuple[str, str]]:
    """List the options of a command line with their values."""
    given = ["--config" + word[2:] if word.partition("=")[0] == "-c" else word for word in given]
    return [
        (a.partition("=")[0], a.partition("=")[2] if "=" in a else b)
        for a, b in zip_longest(given, given[1:], fillvalue="")
        if a.startswith("--")
    ]


def _held(value: Any, keys: Sequence[str], folder: Path) -> Any:
    """Look a value up in a config, in the text of one, and in files that it names in turn."""
    for place, key in enumerate(keys):
        if isinstance(value, str):
            file = folder / value
            if not _is_file(file):
                value = load(value)
            else:
                return _held(load(file.read_text(encoding="utf-8")), keys[place:], file.parent)
        if not isinstance(value, dict):
            return None
        if key not in value and isinstance(value.get("init_args"), dict):
            value = value["init_args"]
        value = value.get(key)
    return value


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a text that no file could be called
        return False


#: How the parser reports a value that none of an option's types takes.
UNION = re.compile(
    r"(.*?)Does not validate against any of the Union subtypes .*? Errors: (.*?) "
    r"Given value type: .*? Given value: (.*)"
)


def causes(message: str) -> str:
    """Put into one line what the parser says, of a value that no type takes why not."""
    text = " ".join(message.split())
    union = UNION.fullmatch(text)
    if not union:
        return text
    start, errors, value = union.groups()
    kinds = re.findall(r"Expected a <class '([^']+)'>", errors.replace("NoneType", "null"))
    # That it was another type is no news where one of them took it and found it wrong.
    told = [
        c.removesuffix(HELP)
        for c in re.split(r"(?:^| )- ", errors)
        if c and not c.startswith("Expected a <")
    ]
    return start + ("; ".join(told) or f"expected {' or '.join(kinds)}, got {value}")


def explain(message: str) -> str:
    """Put what the parser says into one line, with the remedy."""
    denied = re.search(r"Importing '([^']+)' is not allowed", message)
    if denied:
        return (
            f"{denied[1]}: a config may name classes of {', '.join(IMPORTS)} only; if you "
            f"trust it like a program, set {MORE_IMPORTS}={denied[1].partition('.')[0]}"
        )
    text = " ".join(message.split())
    if "data.scale" in text and "Got value: None" in text:
        return (
            "no data.scale; name a config that has one behind the subcommand, such as fit --config "
            "configs/fdnn_x3.yaml, or look whether 'data' and 'scale' are spelt so in yours"
        )
    text = causes(text)
    single = re.search(
        r"Expected a <class 'collections.abc.Sequence'>. Got value: ([^\s\[]+)$", text
    )
    remedy = f"; a list is written '[{single[1]}]'" if single else ""
    if re.search(r"unrecognized arguments: [^-]", text):
        remedy = "; several values are written '[A,B]'"
    return f"{text}{remedy}{HELP}"


def check_text(text: str) -> None:
    """Look at a config before it is loaded, at one event after the other.

    Raises:
        UserError: If it is too long, too deep, repeats itself too often, or has a key twice.
    """
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"config: {len(text):,} characters, at most {MAX_CHARACTERS:,} are read")
    open_anchors: list[str | None] = []
    aliases = 0
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.CollectionStartEvent):
                open_anchors.append(event.anchor)
            elif isinstance(event, yaml.CollectionEndEvent):
                open_anchors.pop()
            elif isinstance(event, yaml.AliasEvent):
                aliases += 1
                if event.anchor in open_anchors:
                    raise UserError(f"config: *{event.anchor} contains itself; write it out")
            if len(open_anchors) > MAX_DEPTH or aliases > MAX_ALIASES:
                raise UserError(
                    f"config: more than {MAX_DEPTH} levels, or {MAX_ALIASES} aliases; write it out"
                )
        _check_keys(yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), set())
    except yaml.YAMLError:
        return  # which the loader will say


def _check_keys(node: yaml.Node | None, seen: set[int]) -> None:
    """Refuse a key that stands twice: the loader would take the last one's value without a word."""
    if isinstance(node, yaml.ScalarNode) or node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, times in keys.items():
            if times > 1:
                line = node.start_mark.line + 1
                raise UserError(f"config: {key!r} stands twice in the part from line {line} on")
    for child in node.value:
        for each in child if isinstance(child, tuple) else (child,):
            _check_keys(each, seen)


class SaveConfig(SaveConfigCallback):
    """Keeps the config of a run, but not the checkpoint that a resumed one went on from.

    That belongs to one command: a test by this config would score its weights, not the run's.
    """

    def __init__(self, parser: Any, config: Any, **options: Any) -> None:
        config = config.clone()
        config["ckpt_path"] = None
        super().__init__(parser, config, **options)


def _known_options(parser: ArgumentParser) -> list[str]:
    """List the options of a parser and of its subcommands."""
    known = list(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action.choices, dict):
            known += [o for p in action.choices.values() for o in _known_options(p)]
    return known


class Parser(LightningArgumentParser):
    """Reports a bad option or config as one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:  # noqa: ARG002
        """Raise what the base class would print below the usage text."""
        text = explain(str(message))
        unknown = re.search(r"unrecognized arguments: (--[^\s=]+)", text)
        if unknown:
            near = difflib.get_close_matches(unknown[1], _known_options(self), n=1)
            text = text.removesuffix(HELP) + (f"; did you mean {near[0]}?" if near else HELP)
        raise UserError(text)

    def parse_path(self, *args: Any, **kwargs: Any) -> Any:
        """Parse a config file.

        Raises:
            UserError: If it is not UTF-8, or :meth:`parse_string` refuses it.
        """
        try:
            return super().parse_path(*args, **kwargs)
        except UnicodeDecodeError as error:
            path = [*args, *kwargs.values()][0]
            raise UserError(f"config {path}, or one that it names: not UTF-8 ({error})") from None

    def parse_string(self, content: str, path: str = "", *args: Any, **kwargs: Any) -> Any:
        """Parse the text of a config.

        Raises:
            UserError: If it holds no options, is no YAML, or :func:`load` refuses it.
        """
        try:
            with suppress(yaml.YAMLError):  # which the base class will say
                if path and not isinstance(load(content), dict):
                    what = "holds no options" if content.strip() else "empty"
                    raise UserError(f"config {path}: {what}")
            return super().parse_string(content, path, *args, **kwargs)
        except UserError as error:
            text = str(error).replace('"<unicode string>"', path or "it")
            if path and text.startswith("config: "):
                text = f"config {path}{text.removeprefix('config')}"
            raise UserError(text) from None
