"""Launches that run S children at once, whose architectures they read from tables on the device.

Maps are NHWC: `[row, N, H, W, C]`, a row being a child (for the projections of a cell's inputs) or an edge (one slot of
a node of one child: row 2k + slot). `reference` holds the operations in PyTorch, for every device and dtype; `fused`
the same operations as Triton kernels. The maps of a cell live in one flat buffer, which `layout.Maps` lays out.
"""
