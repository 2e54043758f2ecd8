"""lightning.pytorch.callbacks: ModelCheckpoint, as far as a subclass of it sees."""


class Trainer:
    """The trainer of one process. The real one is lightning.pytorch.Trainer."""

    def __init__(self, callbacks, rank=0):
        self.callbacks, self.is_global_zero, self.global_step, self.written = callbacks, rank == 0, 0, []

    def save_checkpoint(self, filepath, weights_only=False):
        self.written.append(filepath)  # by all ranks, who then wait for each other

    def fit(self, steps, every):
        for self.global_step in range(1, steps + 1):
            if self.global_step % every == 0:
                for callback in self.callbacks:
                    callback.on_train_batch_end(self)


class ModelCheckpoint:
    def __init__(self, dirpath=None, filename=None, monitor=None, save_last=None, save_top_k=1, **kwargs):
        if kwargs:
            raise TypeError(f"unexpected arguments {sorted(kwargs)}")
        self.dirpath, self.save_last = dirpath, save_last

    def on_train_batch_end(self, trainer):
        self._save_checkpoint(trainer, f"{self.dirpath}/epoch=0-step={trainer.global_step}.ckpt")
        if self.save_last:
            self._save_checkpoint(trainer, f"{self.dirpath}/last.ckpt")

    def _save_checkpoint(self, trainer, filepath):
        trainer.save_checkpoint(filepath, False)
