"""Builds for Hopper, without a GPU, every Triton kernel of a step as the step would launch it; `test_fused.py` runs it.

Launches are caught, built and not run, so the numbers of the step mean nothing.
"""

from functools import partial

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from parsec.config.training import Network
from parsec.network.kernels import fused
from parsec.network.supernet import Supernet
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.fused import FusedExecutor

POINTERS = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int64: "*i64", torch.int8: "*i8"}
HOPPER = GPUTarget("cuda", 90, 32)
SIZES = ("C", "P", "D", "CHUNK", "BLOCK", "ROW", "T", "R")
built = set()


def build(kernel, *args, grid, warmup, num_warps=4, num_stages=3, **named):
    """Build a launch's kernel, unless one like it was built whose sizes alone differ."""
    given = dict(zip(kernel.arg_names, args, strict=False)) | named
    constants = {each.name: given[each.name] for each in kernel.params if each.is_constexpr}
    # A launch builds what is 1 into the kernel.
    constants |= {name: 1 for name, value in given.items() if type(value) is int and value == 1}
    variant = (kernel.fn.__name__, *sorted((k, v) for k, v in constants.items() if k not in SIZES))
    if variant in built:
        return
    types = {name: POINTERS[value.dtype] if torch.is_tensor(value) else "i32" for name, value in given.items()}
    signature = {name: "constexpr" if name in constants else types[name] for name in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    result = triton.compile(source, target=HOPPER, options={"num_warps": num_warps, "num_stages": num_stages})
    assert result.asm["cubin"], variant
    built.add(variant)
    print(*variant)


JITFunction.run = build
supernet = Supernet(Network(cells=3, channels=12), 5, torch.Generator().manual_seed(0))
bfloat16 = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
children = ArchitectureBatch(torch.zeros(2, 2, 4, 2, 2, dtype=torch.int64))
weighted_backward(
    FusedExecutor(supernet, bfloat16, launches=fused), children, torch.randn(2, 3, 8, 8), torch.tensor([0, 1])
)
