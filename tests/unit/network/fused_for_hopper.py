"""Builds for Hopper, without a GPU, the kernels that a step launches; `test_fused.py` runs it.

A step of the networks of a search runs on tensors without numbers ("fake" ones), and its launches are caught instead of
run. Prints JSON: launches and bytes of an iteration of both networks, and of some builds (with `--all` of all) what the
disassembler says, cuobjdump of the Triton wheel or of the CUDA toolkit, whose path is the first argument.
"""

import json
import re
import subprocess
import sys
import tempfile
from functools import partial

import torch
import triton
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from parsec.config.training import Network
from parsec.network.kernels import fused
from parsec.network.supernet import Supernet
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.fused import FusedExecutor

NETWORKS = {"small": Network(cells=8, channels=16), "fine-tune": Network(cells=20, channels=36)}
CHILDREN, BATCH, SIDE = 16, 64, 32
POINTERS = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int64: "*i64", torch.int8: "*i8"}
DISASSEMBLER = sys.argv[1]
HOPPER = GPUTarget("cuda", 90, 32)
ALLOCATIONS = {"empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided", "detach", "lift_fresh"}
ALLOCATIONS |= {"view", "alias", "_unsafe_view", "device"}
TAPS = ("depthwise_kernel", "input_gradient_kernel", "weight_gradient_kernel")
BACK = ("pointwise_back_kernel", "conv_input_back_kernel", "conv_weight_back_kernel")
STAGES = (4 / 7, 2 / 7)
"""Of the edges of random architectures, the share with this stage of a separable convolution."""
HALVED = 0.08
"""The same of factorised reductions in a reduction cell, 0.57 of whose edges read the cell's inputs."""


class Launch:
    """A launch: its kernel, grid, options, and arguments by name."""

    def __init__(self, kernel, args, grid, options, named):
        self.kernel, self.grid, self.options = kernel, grid, options
        self.arguments = dict(zip(kernel.arg_names, args, strict=False)) | named
        self.name = kernel.fn.__name__

    def __getitem__(self, argument):
        return self.arguments[argument]

    def source(self):
        """What the launch would build: types, constants, and which pointers are multiples of 16 bytes."""
        signature, constants, attributes = {}, {}, {}
        for index, each in enumerate(self.kernel.params):
            value = self[each.name]
            if each.is_constexpr or (value == 1 if type(value) is int and not each.do_not_specialize else False):
                signature[each.name], constants[each.name] = "constexpr", value
            elif torch.is_tensor(value):
                signature[each.name] = POINTERS[value.dtype]
                if value.storage_offset() * value.element_size() % 16 == 0:
                    attributes[(index,)] = [["tt.divisibility", 16]]
            else:
                signature[each.name] = "i32" if abs(value) < 2**31 else "i64"
        return ASTSource(fn=self.kernel, signature=signature, constexprs=constants, attrs=attributes)

    def key(self):
        """Equal for launches of one build."""
        source = self.source()
        return self.name, *(str(sorted(each.items())) for each in (source.signature, source.constants, source.attrs))


class Operations(TorchDispatchMode):
    """Counts what PyTorch launches."""

    count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.count += not operation.is_view and str(operation.overloadpacket)[5:] not in ALLOCATIONS
        return operation(*args, **(kwargs or {}))


def iteration(network):
    """Launches of Triton's in an iteration, and how many PyTorch adds."""
    launches, counted = [], Operations()

    def catch(kernel, *args, grid, warmup, num_warps=4, num_stages=3, maxnreg=None, **named):
        options = {"num_warps": num_warps, "num_stages": num_stages, "maxnreg": maxnreg}
        launches.append(Launch(kernel, args, grid, {k: v for k, v in options.items() if v}, named))

    JITFunction.run = catch
    with FakeTensorMode(allow_non_fake_inputs=True):
        supernet = Supernet(network, 10, torch.Generator().manual_seed(0))
        bfloat16 = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
        executor = FusedExecutor(supernet, bfloat16, CHILDREN, skip_negligible=True, launches=fused)
        children = ArchitectureBatch(torch.zeros(CHILDREN, 2, 4, 2, 2, dtype=torch.int64))
        images = torch.randn(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
        labels = torch.zeros(BATCH, dtype=torch.int64)
        executor.log_likelihoods(children, images, labels)  # makes the plan
        launches.clear()
        with counted:
            executor.log_likelihoods(children, images, labels)
            weighted_backward(executor, children, images, labels)
    return launches, counted.count


def gradient_bytes(launch):
    """Bytes of maps around batch norm that a launch reads (of dy, z and dz) and writes (dz), with random children."""
    if launch.name not in BACK:
        return 0, 0
    if launch.name == "pointwise_back_kernel":
        share, channels, programs = STAGES[launch["STAGE"]], launch["C"], launch.grid[2]
    else:
        # Rows are those of children in projections, and of edges in factorised reductions.
        projection = launch.arguments.get("NORMALISED", launch.grid[1] == CHILDREN)
        share, channels, programs = 1.0 if projection else HALVED, launch["ROW"], launch.grid[2] // launch["HALVES"]
    size = share * launch.grid[1] * launch["pixels"] * channels * 2
    maps = 1 if launch.name == "conv_weight_back_kernel" else 2
    return maps * programs * size, size if launch.name == "conv_input_back_kernel" else 0.0


def listing(binary, *options):
    """What the disassembler prints about a build."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        command = [DISASSEMBLER, *options, file.name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def loops(instructions):
    """Loops [first, last], each ending in a branch back; those of one start are one."""
    found = {}
    for at, text in instructions:
        target = re.search(r"\bBRA.*0x([0-9a-f]+)", text)
        if target and int(target[1], 16) < at:
            found[int(target[1], 16)] = at
    return sorted(found.items())


def build(launch):
    """Registers, stack, shared memory and barriers of a build, and of kernels with taps the instructions of one."""
    result = triton.compile(launch.source(), target=HOPPER, options=launch.options)
    usage = re.search(r"REG:(\d+) STACK:(\d+)", listing(result.asm["cubin"], "-res-usage"))
    code = re.findall(r"^\s+/\*([0-9a-f]{4,})\*/\s+(.*?);", listing(result.asm["cubin"], "-sass"), re.M)
    instructions = [(int(at, 16), text) for at, text in code]
    facts = {"kernel": launch.name, "C": launch["C"] if "C" in launch.arguments else 0}
    facts |= {"registers": int(usage[1]), "stack": int(usage[2]), "shared": result.metadata.shared}
    if launch.name in TAPS:
        facts |= tap_instructions(launch, instructions)
    return facts


def tap_instructions(launch, instructions):
    """Instructions of a lane for a tap of 16 numbers, those outside of the loops included; barriers inside of them.

    It is the mean over the 34 taps of kernels of 3 × 3 and 5 × 5 at stride 1. The innermost loops handle a column of
    taps at a strip of 4 pixels, with 4 channels a lane: that makes 16 products a tap.
    """
    spans = loops(instructions)
    bodies = {span: [text for at, text in instructions if span[0] <= at <= span[1]] for span in spans}
    lengths = {span: len(body) for span, body in bodies.items()}

    def around(span):
        return [other for other in spans if other != span and other[0] <= span[0] and span[1] <= other[1]]

    innermost = [span for span in spans if not any(span in around(other) for other in spans)]
    rest = len(instructions) - sum(lengths[span] for span in spans if not around(span))
    strips, executed = launch["out_height"] // 4, 0
    for side in (3, 5):
        same = [span for span in innermost if sum("FFMA" in text for text in bodies[span]) == 16 * side]
        # The shortest loop with that many products is that of stride 1.
        span = min(same, key=lengths.__getitem__)
        outer = min((lengths[other] for other in around(span)), default=lengths[span]) - lengths[span]
        if launch.name == "weight_gradient_kernel":  # a column of taps is a program, which walks down several columns
            executed += side * (lengths[span] + outer / strips + rest / (strips * launch["per"]))
        else:
            executed += side * lengths[span] + outer + rest / strips
    return {"instructions": executed / 34, "barriers": sum("BAR" in text for body in bodies.values() for text in body)}


if __name__ == "__main__":
    every = "--all" in sys.argv
    report = {"launches": {}, "read": {}, "written": {}, "builds": []}
    chosen = {}
    for name, network in NETWORKS.items():
        launches, operations = iteration(network)
        report["launches"][name] = [len(launches), operations]
        read, written = zip(*map(gradient_bytes, launches), strict=True)
        report["read"][name], report["written"][name] = sum(read), sum(written)
        for launch in launches:
            c, stage = launch.arguments.get("C", 0), launch.arguments.get("STAGE", 0)
            rank = (c, launch.arguments.get("BLOCK", 0), -stage)
            # Of kernels that cost most, one build for each of these numbers of channels; of others, that of most.
            key = (launch.name, c if launch.name in (*TAPS, *BACK) else 0)
            if key[1] in (0, 16, 36, 72, 144) and (key not in chosen or rank > chosen[key][0]):
                chosen[key] = rank, launch
            if every:
                chosen[launch.key()] = rank, launch
    report["builds"] = [build(launch) for _, launch in chosen.values()]
    print(json.dumps(report))
