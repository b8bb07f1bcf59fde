"""The command line of what needs a Trainer: fit, validate, test, predict."""

from __future__ import annotations

import json
import logging
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.accelerators import MPSAccelerator
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.plugins import CheckpointIO, Precision

from fdnn.cli.configs import LINKS, Parser, SaveConfig, causes, check_linked, check_order, guard
from fdnn.cli.options import check_callbacks, check_options, check_values
from fdnn.cli.reasons import reason
from fdnn.data.patches import share
from fdnn.evaluation import report
from fdnn.evaluation.score import score
from fdnn.files.atomic import replacing
from fdnn.files.digest import sha256
from fdnn.files.errors import UserError, one_line, words
from fdnn.files.home import expanded
from fdnn.files.provenance import CONFIG_NAME, RECORD_NAME
from fdnn.files.quiet import quiet_libraries
from fdnn.inference.engines import with_engine
from fdnn.inference.hardware import device_of, training_precision
from fdnn.models import Bicubic
from fdnn.models.weights import FILE_NAME, load_weights, read_weights, start_weights
from fdnn.training import card
from fdnn.training import distributed as nodes
from fdnn.training.callbacks import RunRecord
from fdnn.training.checkpoints import (
    SafeCheckpoints,
    check_resumable,
    newest_checkpoint,
    run_folder,
)
from fdnn.training.dashboards import log_benchmark, log_weights
from fdnn.training.datamodule import SRDataModule
from fdnn.training.loggers import Wandb, run_loggers
from fdnn.training.logs import RunLogger
from fdnn.training.module import SuperResolution
from fdnn.training.predict_progress import PredictProgress
from fdnn.training.signals import StopSignals, stopped
from fdnn.training.trainer import Trainer

log = logging.getLogger(__name__)

DEFAULT_ROOT = "logs"
START = "--model.start takes weights"


def _listed(value: Any) -> list[Any]:
    """Take none, one or several, as Lightning does."""
    return value if isinstance(value, list) else [value] if value else []


def run_name(config: Path) -> str:
    """Name a run after its config, or after the run that kept it as ``config.yaml``."""
    if config.name != "config.yaml":
        return config.stem
    folder = config.resolve().parent
    return (folder.parent if folder.name.startswith("version_") else folder).name


class CLI(LightningCLI):
    """Builds network, data and Trainer from a config and runs one subcommand."""

    weights_path: str | None = None
    #: Optimizer steps that a resumed training has made before.
    steps_before: int = 0
    run_name: str

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options that belong to neither network, data nor Trainer."""
        parser.add_class_arguments(Wandb, "wandb")
        parser.add_argument(
            "--per_image", type=bool, default=False, help="Print a row for each image in tables."
        )
        for target, (source, make) in LINKS.items():
            parser.link_arguments(source, target, compute_fn=make)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Also find out what ``--ckpt_path`` means and whether it can be read.

        Raises:
            UserError: If there is nothing to read, or an option would do nothing or harm.
        """
        given = sys.argv[1:] if args is None else args
        check_order(given)
        try:
            super().parse_arguments(parser, args)
        except UnicodeDecodeError as error:
            raise UserError(f"a config is not UTF-8 ({error})") from None
        command = self.config["subcommand"]
        config = self.config[command]
        # A config that is written out on the command line has no file.
        files = [file for file in config.get("config") or [] if file]
        check_linked(config, given, files)
        seed = config["seed_everything"]
        if isinstance(seed, bool) or not 0 <= int(seed) < 2**32:
            raise UserError(f"seed_everything must be a number from 0 to 2^32 - 1, got {seed}")
        self.run_name = run_name(Path(str(files[-1]))) if files else "fdnn"
        kinds = {"trainer": pl.Trainer, "data": SRDataModule, "model": SuperResolution}
        for part, kind in kinds.items():
            check_values(config[part], part, kind)
        check_options(config["trainer"])
        root = config["trainer"]["default_root_dir"]
        if "://" in str(root):
            raise UserError(f"trainer.default_root_dir={root}: runs are kept in local folders only")
        config["trainer"]["default_root_dir"] = str(expanded(root or DEFAULT_ROOT))
        checkpoint = config.get("ckpt_path")
        if checkpoint is None:
            return
        if not str(checkpoint):
            raise UserError("--ckpt_path is empty; name weights, or leave the option out")
        if command != "fit":
            # Only the weights count; folders and safetensors files will do as well.
            self.weights_path = str(checkpoint)
            config["ckpt_path"] = None
            return
        root = Path(config["trainer"]["default_root_dir"]) / self.run_name
        if checkpoint == "last":
            path, damaged = newest_checkpoint(root)
            if damaged:
                log.warning("%s", "; ".join(damaged))
            print(f"going on from {path}", flush=True)
        else:
            path = expanded(checkpoint)
            if not path.is_file():
                remedy = "'last' finds the newest"
                if path.is_dir():
                    inside = any(path.rglob("*.ckpt"))
                    remedy = "name the .ckpt file in it" if inside else START
                raise UserError(f"no checkpoint at {path}; {remedy}")
            if path.suffix != ".ckpt":
                raise UserError(f"{path}: fit goes on from a .ckpt; {START}")
            read_weights(path)
        config["ckpt_path"] = str(path.absolute())
        config["weights_only"] = True

    def instantiate_classes(self) -> None:
        """Make network, data and trainer of the config.

        Raises:
            UserError: What one of them says of its arguments.
        """
        try:
            super().instantiate_classes()
        except (ValueError, TypeError, RuntimeError) as error:
            raise UserError(causes(words(error))) from error

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Add what a launcher decided, loggers, and what writes checkpoints.

        The config's own replace the latter two. Loggers are CSV always, W&B as asked; the first
        one has a folder for the run.
        """
        config = self._get(self.config_init, "trainer")
        kwargs |= nodes.trainer_options(config)
        if config["accelerator"] == "auto" and MPSAccelerator.is_available():
            kwargs["accelerator"] = "cpu"  # scores need float64, which Apple's GPUs lack
        plugins = _listed(config["plugins"])
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins = [*plugins, SafeCheckpoints()]
        kwargs["plugins"] = plugins
        own = config["precision"] or any(isinstance(plugin, Precision) for plugin in plugins)
        if self.subcommand == "fit" and not own:
            kwargs["precision"] = training_precision(device_of(str(config["accelerator"])))
        callbacks = _listed(config["callbacks"])
        check_callbacks(callbacks)
        bar = config["enable_progress_bar"] is not False
        if not bar or self.subcommand == "predict":
            callbacks = [c for c in callbacks if not isinstance(c, ProgressBar)]
        if not any(isinstance(callback, ModelCheckpoint) for callback in callbacks):
            # Lightning adds its own only where there is no Checkpoint at all, as StopSignals is.
            last = ModelCheckpoint(
                filename="last", enable_version_counter=False, save_on_train_epoch_end=True
            )
            callbacks = [*callbacks, last]
        if self.subcommand == "predict":  # leaves images and nothing else
            self.save_config_callback = None
            kwargs["logger"] = False
            if bar:
                callbacks = [*callbacks, PredictProgress()]
        elif config["logger"] in (None, True, False, []) and not config["fast_dev_run"]:
            wandb: Wandb = self._get(self.config_init, "wandb")
            if config["logger"] in (False, []):  # weights and record need their folder even so
                wandb = replace(wandb, mode="disabled")
            checkpoint = self._get(self.config_init, "ckpt_path")
            kwargs["logger"] = run_loggers(
                config["default_root_dir"], self.run_name, str(self.subcommand), wandb, checkpoint
            )
        elif config["logger"] and not config["fast_dev_run"]:
            own = _listed(config["logger"])
            if own[0].log_dir is None:  # W&B's, say: no folder that belongs to one run
                own = [RunLogger(config["default_root_dir"], name=self.run_name), *own]
            kwargs["logger"] = own
        kwargs["callbacks"] = callbacks
        return super().instantiate_trainer(**kwargs)

    # ---- what happens around a subcommand -------------------------------------------

    def before_fit(self) -> None:
        """Load the weights that training starts from; a resumed run brings its own.

        Raises:
            UserError: If the network has nothing that gradients could train, what training shall go
                on from or start from does not fit it, the batch cannot be shared, or the engine of
                the scores does not work.
        """
        trainer, model, net = self.trainer, self.model, self.model.net
        if not any(p.requires_grad for p in net.parameters()):
            how = f"; its weights are made by '{net.fitted_by}'" if net.fitted_by else ""
            raise UserError(f"{type(net).__name__} has nothing for 'fit' to train{how}")
        # What would otherwise be met after the training images were packed, or after training.
        share(self.datamodule.batch_size, trainer.world_size, trainer.accumulate_grad_batches)
        with_engine(net, model.engine, model.engine_precision)
        optimizer = model.new_optimizer()
        checkpoint = self._get(self.config, "ckpt_path")
        if checkpoint is not None:
            parts = trainer.accumulate_grad_batches
            epochs = trainer.max_epochs
            self.steps_before = check_resumable(Path(checkpoint), net, optimizer, parts, epochs)
        elif model.start is not None:
            model.weights_file = start_weights(net, model.start)

    def after_fit(self) -> None:
        """Score the final weights, beside bicubic's scores, and draw them.

        Raises:
            UserError: If the scores are not numbers.
        """
        if self.trainer.fast_dev_run or self.trainer.interrupted:  # type: ignore[attr-defined]
            return
        self.trainer.validate(self.model, datamodule=self.datamodule, verbose=False)
        self._check_scores()
        if not self.trainer.is_global_zero:
            return
        bicubic = Bicubic(self.model.scale)
        scores = {name: score(bicubic, s.images) for name, s in self.model.results.items()}
        name = self.model.title
        references = {"Bicubic": scores}
        per_image = self._get(self.config_init, "per_image")
        report.show(name, self.model.scale, self.model.results, references, per_image)
        folder = run_folder(self.trainer)
        record = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
        benchmark = self._benchmark(folder / FILE_NAME)
        report.write(folder, benchmark)
        given = ["--config", str(folder / CONFIG_NAME), "--ckpt_path", str(folder)]
        options = shlex.join(given)
        command = f"python src/train.py validate {options}"
        text = card.text(self.run_name, record, benchmark, command, "* See config.yaml.")
        with replacing(folder / card.PAGE_NAME) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
        for logger in self.trainer.loggers:
            if isinstance(logger, WandbLogger):
                log_weights(logger, folder, f"{type(self.model.net).__name__}_x{self.model.scale}")
        print(f"weights, card, pictures and logs: {folder}")
        sets = shlex.quote(f"[{','.join(map(str, self.datamodule.val_sets))}]")
        print(f"test these weights: python src/train.py test {options} --data.test_sets {sets}")
        print(f"upscale with them: fdnn photo.jpg --weights {shlex.quote(str(folder))}")
        if self.trainer.global_step == self.steps_before:
            log.warning(
                "no step was trained; max_epochs, max_steps, max_time or limit_train_batches end "
                "this training before its first"
            )

    def before_validate(self) -> None:
        """Load the weights."""
        self._load_weights()

    def before_test(self) -> None:
        """Load the weights."""
        self._load_weights()

    def test(self, **kwargs: Any) -> None:
        """Run without Lightning's own table of scores."""
        self.trainer.test(**kwargs | {"verbose": False})

    def validate(self, **kwargs: Any) -> None:
        """Run without Lightning's own table of scores."""
        self.trainer.validate(**kwargs | {"verbose": False})

    def before_predict(self) -> None:
        """Load the weights."""
        self._load_weights()

    def _load_weights(self) -> None:
        path = self.weights_path or self.model.weights
        if path is not None:
            self.model.weights_file = load_weights(self.model.net, path)
        elif any(True for _ in self.model.net.parameters()):
            raise UserError("no weights given; use --ckpt_path, or model.weights in the config")

    def after_validate(self) -> None:
        """Print the scores.

        Raises:
            UserError: If there are none.
        """
        if not self.model.results:
            raise UserError("no image was scored; see data.val_sets and limit_val_batches")
        self._show_scores()

    def after_test(self) -> None:
        """Print the scores and write them to the log folder.

        Raises:
            UserError: If there are none.
        """
        if not self.model.results:
            raise UserError("no image was scored; see data.test_sets and limit_test_batches")
        self._show_scores()
        if not self.trainer.is_global_zero or self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        path = report.write(run_folder(self.trainer), self._benchmark(self.model.weights_file))
        self.model.eval()  # Lightning has put back the mode from before the test
        for logger in self.trainer.loggers:
            if isinstance(logger, WandbLogger):
                strips, model = self._get(self.config_init, "wandb").strips, self.model
                log_benchmark(logger, model.results, model.runner, model.title, strips)
        print(f"scores written to {path} and {path.with_name(report.CSV_NAME).name}")

    def _benchmark(self, file: Path | None) -> dict[str, Any]:
        """Collect the scores of the weights in a file; without one, of a network that has none."""
        weights = {"path": str(file), "sha256": sha256(file)} if file else None
        model = self.model
        return report.as_json(model.title, model.scale, model.results, weights, model.engine_title)

    def _check_scores(self) -> None:
        if any(math.isnan(scores.psnr) for scores in self.model.results.values()):
            raise UserError(
                "the network's results are no numbers: its weights have become too large; train "
                "with a lower learning rate"
            )

    def _show_scores(self) -> None:
        self._check_scores()
        if self.trainer.is_global_zero:
            per_image = self._get(self.config_init, "per_image")
            title, scale = self.model.title, self.model.scale
            report.show(title, scale, self.model.results, per_image=per_image)


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: Words after the program's name; default: those of the process.

    Returns:
        The exit status: 0; 1 after a message to stderr, 128 and more after a signal.
    """
    quiet_libraries()
    guard()
    try:
        CLI(
            SuperResolution,
            SRDataModule,
            trainer_class=Trainer,
            trainer_defaults={
                "callbacks": [RunRecord(), StopSignals()],
                "use_distributed_sampler": False,
            },
            seed_everything_default=0,
            parser_class=Parser,
            parser_kwargs={"allow_abbrev": False},
            save_config_callback=SaveConfig,
            save_config_kwargs={"overwrite": True},
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=args if args is None else list(args),
        )
        nodes.leave_group()
    except (KeyboardInterrupt, SystemExit) as error:
        raise stopped(error) or error from None
    except Exception as error:
        text = reason(error)
        if text is None:
            raise
        raise UserError(text) from error
    return 0
