"""Handle SIGINT and SIGTERM: save a checkpoint when training, then exit with 130 or 143."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from fdnn.files.errors import UserError
from fdnn.training.checkpoints import LAST, run_folder
from fdnn.training.logs import RunLogger

#: Steps after which several processes tell each other of a signal.
AGREE_EVERY = 10


class StoppedError(UserError):
    """A signal stopped the command; training has left a checkpoint.

    Attributes:
        status: Exit status, 128 + the signal's number as shells count: 130 after Ctrl-C, 143
            after SIGTERM.
    """

    def __init__(self, text: str, signum: int) -> None:
        super().__init__(text)
        self.status = 128 + signum


def stopped(error: BaseException) -> StoppedError | None:
    """Return the signal that ended a command outside of training, as an error.

    Args:
        error: Raised by the command; Lightning turns both signals into ``SystemExit``.

    Returns:
        ``None`` if it was no signal.
    """
    if isinstance(error, SIGTERMException):
        return StoppedError("stopped by SIGTERM", signal.SIGTERM)
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
        return StoppedError("stopped by SIGINT", signal.SIGINT)
    return None


class StopSignals(Checkpoint):
    """Writes ``last.ckpt`` at the end of the step after SIGINT or SIGTERM, and ends the run.

    If a validation is due, as at the end of an epoch, the run ends after the next step. If every
    step is validated, it does not wait.

    Several processes end at the same step, within :data:`AGREE_EVERY` steps after one of them got
    the signal. A second signal ends the process at once. (A ``Checkpoint``, so that Lightning calls
    it after all other callbacks, and the state after the batch is written.)
    """

    def __init__(self) -> None:
        self.signum = 0
        self.agreed = 0
        self.before: dict[int, Any] = {}

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self._restore()

    def _restore(self) -> None:
        for signum, handler in self.before.items():
            signal.signal(signum, handler)
        self.before = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen."""
        self.agreed = trainer.global_step
        # Lightning's handler only notes SIGTERM, but a second one must end the process.
        self.before = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        for signum in self.before:
            signal.signal(signum, self._note)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stop, if asked to.

        Raises:
            StoppedError: After the checkpoint.
        """
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # a checkpoint has no place for the gradients of half a step
        loop = trainer.fit_loop.epoch_loop
        fetcher = trainer.fit_loop._data_fetcher
        validated = fetcher is not None and loop._should_check_val_fx(fetcher)
        every = min(trainer.num_training_batches, trainer.val_check_batch or math.inf)
        if (validated or loop.batch_progress.is_last_batch) and (
            every > trainer.accumulate_grad_batches
        ):
            return  # after the validation: a run resumed from here would not make it up
        stop = bool(self.signum)
        if trainer.world_size > 1:
            # Processes wait for each other here, and read the answer from the device.
            if trainer.global_step < self.agreed + AGREE_EVERY:
                return
            self.agreed = trainer.global_step
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        if not stop:
            return
        self._restore()
        # Lightning would log this step after all callbacks, which is too late.
        trainer._logger_connector.update_train_step_metrics()
        signum = self.signum or signal.SIGTERM
        own = run_folder(trainer) / "checkpoints"
        folder = getattr(trainer.checkpoint_callback, "dirpath", None) or str(own)
        file = f"{folder}/{LAST}"
        trainer.save_checkpoint(file)
        # "last" is looked for where runs usually keep it.
        usual = isinstance(trainer.logger, RunLogger) and Path(folder).absolute() == own.absolute()
        how = "last" if usual else file
        raise StoppedError(
            f"stopped by {signal.Signals(signum).name} after step {trainer.global_step}; "
            f"checkpoint: {file}; go on with --ckpt_path {how}",
            signum,
        )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen no more."""
        self._restore()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Listen no more."""
        self._restore()
