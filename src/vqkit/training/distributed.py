"""One process or many: what torchrun started, and the model wrapped for it."""

from __future__ import annotations

import atexit
import gc
import inspect
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.quantizers.base import codebook_parameters
from vqkit.training.trainable import Trainable

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

_opened_here = False


@dataclass(frozen=True)
class Processes:
    """This process's place among those that torchrun started; ``world == 1`` without torchrun."""

    rank: int
    world: int
    device: torch.device
    started_here: bool = False

    @property
    def main(self) -> bool:
        """True for rank 0, which writes the log, the pictures and the checkpoints."""
        return self.rank == 0

    def agree(self, values: list[float]) -> list[float]:
        """Rank 0's values on every process: clocks and signals differ, decisions must not."""
        if self.world == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64)  # on the CPU: no waiting for the device
        dist.broadcast(tensor, src=0)
        return tensor.tolist()

    def same_state(self, model: nn.Module) -> None:
        """Give every process rank 0's parameters and buffers."""
        if self.world > 1:
            state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
            for tensor in state.values():
                dist.broadcast(tensor, src=0)
            model.load_state_dict(state)  # not in place: modules see that their state has changed

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.world > 1:
            dist.barrier()

    def abandon(self) -> None:
        """Leave the group, if this module opened it: the other processes end with an error instead of waiting."""
        if self.started_here:
            leave_group()


def leave_group() -> None:
    """Leave the process group: at the end of the process, or when it failed.

    A second group of the same address waits for ever (gloo reuses the keys in the store), so the group stays open
    between trainings: a program under torchrun may train a tokenizer and then its prior.
    """
    if dist.is_available() and dist.is_initialized():
        gc.collect()  # wrappers that still hold the group go first: destroying it under them can abort the process
        dist.destroy_process_group()


def start_processes(device: str) -> Processes:
    """Join the process group that torchrun describes in the environment, and choose this process's device.

    Raises:
        ConfigError: the device is not there.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 and not (dist.is_available() and dist.is_initialized()):
        return Processes(0, 1, choose_device(device))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = choose_device(device)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", local % torch.cuda.device_count())
        torch.cuda.set_device(chosen)
    global _opened_here
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
        atexit.register(leave_group)
        _opened_here = True
    return Processes(dist.get_rank(), dist.get_world_size(), chosen, _opened_here)


def device_of_rank(name: str) -> str:
    """Return the device of this process, of those that torchrun started here: GPUs in turn, or what ``name`` says.

    Raises:
        ConfigError: the device is not there.
    """
    chosen = choose_device(name)
    if chosen.type != "cuda" or "LOCAL_RANK" not in os.environ:
        return name
    return f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"


def choose_device(name: str) -> torch.device:
    """``"auto"``: CUDA where there is one, then Apple's MPS, then the CPU.

    Raises:
        ConfigError: an unknown name, or a device that is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device={name!r} is unknown; choose auto, cpu, cuda or mps") from error
    if device.type not in ("cpu", "cuda", "mps") or (
        device.type == "cuda" and (device.index or 0) >= max(torch.cuda.device_count(), 1)
    ):
        raise ConfigError(f"device={name!r}: choose auto, cpu, cuda (here {torch.cuda.device_count()}) or mps")
    if (device.type == "cuda" and not torch.cuda.is_available()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    ):
        raise ConfigError(f"device={name!r}: this machine (or this build of torch) has none; choose auto or cpu")
    return device


def wrap(
    model: Trainable, shadow: Trainable, processes: Processes, parallel: str, *, unused: bool = False
) -> nn.Module:
    """The callable that trains ``model`` on this process's part of the batch.

    DDP averages gradients; buffers stay equal by themselves, since codebook statistics are summed over processes.
    FSDP2 shards the parameters of model and shadow alike. ``unused``: some parameters may have no gradient, as the
    scale of a likelihood has none where the objective leaves the likelihood out.
    """
    if processes.world == 1:
        return model
    if parallel == "fsdp":
        for module in (model, shadow):
            _shard(module, processes)
        return model
    ids = [processes.device.index] if processes.device.type == "cuda" else None
    accepted = inspect.signature(nn.parallel.DistributedDataParallel).parameters
    quiet = "forward_sync_buffers" if "forward_sync_buffers" in accepted else "broadcast_buffers"  # its older name
    options: dict[str, Any] = {quiet: False, "find_unused_parameters": unused}
    return nn.parallel.DistributedDataParallel(model, device_ids=ids, **options)


def _shard(model: Any, processes: Processes) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    mesh = init_device_mesh(processes.device.type, (processes.world,))
    model.to(memory_format=torch.contiguous_format)  # FSDP2 takes no other layout
    codebooks = codebook_parameters(model)
    fully_shard(model, mesh=mesh, reshard_after_forward=True, ignored_params=codebooks)
    for codebook in codebooks:  # whole on every process, since restarts write into it; its gradient is averaged here
        codebook.register_post_accumulate_grad_hook(_average_gradient)
    for method in model.gathered_methods:  # none is called by forward
        register_fsdp_forward_method(model, method)


def _average_gradient(parameter: Tensor) -> None:
    assert parameter.grad is not None
    dist.all_reduce(parameter.grad)
    parameter.grad /= dist.get_world_size()


def full(tensor: Tensor) -> Tensor:
    """A sharded tensor gathered whole on every process; any other tensor itself."""
    gather = getattr(tensor, "full_tensor", None)
    whole: Tensor = gather() if gather is not None else tensor
    return whole


def is_sharded(tensor: Any) -> TypeGuard[DTensor]:
    """Whether a tensor is a ``DTensor``; whoever has one has imported that module, which is slow."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)
