"""transformers: the Trainer's saving, as a callback sees it."""

import os
from types import SimpleNamespace


class TrainerCallback:
    def on_save(self, args, state, control, **kwargs):
        pass


class Trainer:
    """One process of world_size. It makes the directory, calls on_save, and goes on."""

    def __init__(self, output_dir, callbacks, rank=0, world_size=1):
        self.args = SimpleNamespace(output_dir=output_dir, world_size=world_size)
        self.state = SimpleNamespace(global_step=0, is_world_process_zero=rank == 0)
        self.control, self.callbacks = SimpleNamespace(), callbacks

    def train(self, steps, save_steps):
        for self.state.global_step in range(1, steps + 1):
            if self.state.global_step % save_steps == 0:
                directory = os.path.join(self.args.output_dir, f"checkpoint-{self.state.global_step}")
                os.makedirs(directory)
                with open(os.path.join(directory, "trainer_state.json"), "w") as f:
                    f.write("{}")
                for callback in self.callbacks:
                    callback.on_save(self.args, self.state, self.control)
