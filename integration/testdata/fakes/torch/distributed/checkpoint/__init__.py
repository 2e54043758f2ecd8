"""torch.distributed.checkpoint: save() as a StorageWriter sees it.

Every rank writes its part; then the coordinator, rank 0, is told to finish.
RANK tells which rank this process is, as torchrun does. A real save waits for
the other ranks before finish; here there is nothing to wait for.
"""

import os


def save(state_dict, *, checkpoint_id=None, storage_writer=None, planner=None, process_group=None):
    coordinator = int(os.environ.get("RANK", "0")) == 0
    storage_writer.set_up_storage_writer(coordinator)
    results = [storage_writer.write_data(state_dict, planner)]
    if coordinator:
        storage_writer.finish({"state": sorted(state_dict)}, results)
