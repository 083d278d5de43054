#!/usr/bin/env python3
"""Matrix products of oneDNN through its C interface.

usage: benches/peers/kernels/onednn.py THREADS FOLDER_OF_LIBDNNL

oneDNN is measured by itself and not through PyTorch, whose wheel for x86 needs gigabytes of CUDA libraries to be imported:
the wheel of PaddlePaddle for the CPU carries it as libdnnl.so.3. Weights are in the layout that oneDNN asks for; the last
argument of a product (f32) is written by it. int8 (measured for q8_0) is unsigned by signed with one scale for the whole product
and activations that are quantized already: less work than a scale for every 32 values and activations in f32.
"""

import ctypes
import os
import sys

from cells import answer, copies, fastest

F32, BF16, S8, U8 = 3, 2, 5, 6
BYTES = {F32: 4, BF16: 2, S8: 1, U8: 1}
TYPES = {"f32": (F32, F32), "bf16": (BF16, BF16), "q8_0": (U8, S8)}
SOURCE, WEIGHTS, TARGET = 1, 33, 17
QUERY_WEIGHTS = 131


class Argument(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("memory", ctypes.c_void_p)]


def check(status: int) -> None:
    if status:
        raise RuntimeError(f"oneDNN answered {status}")


class OneDnn:
    def __init__(self, folder: str) -> None:
        ctypes.CDLL(os.path.join(folder, "libiomp5.so"), mode=ctypes.RTLD_GLOBAL)
        self.dnnl = ctypes.CDLL(os.path.join(folder, "libdnnl.so.3"), mode=ctypes.RTLD_GLOBAL)
        self.dnnl.dnnl_primitive_desc_query_md.restype = ctypes.c_void_p
        self.dnnl.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
        self.engine, self.stream = ctypes.c_void_p(), ctypes.c_void_p()
        check(self.dnnl.dnnl_engine_create(ctypes.byref(self.engine), 1, ctypes.c_size_t(0)))
        check(self.dnnl.dnnl_stream_create(ctypes.byref(self.stream), self.engine, 1))

    def version(self) -> str:
        class Version(ctypes.Structure):
            _fields_ = [("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int)]

        self.dnnl.dnnl_version.restype = ctypes.POINTER(Version)
        version = self.dnnl.dnnl_version().contents
        return f"oneDNN {version.major}.{version.minor}.{version.patch}"

    def plain(self, rows: int, columns: int, kind: int) -> ctypes.c_void_p:
        """The description of a row-major matrix."""
        description = ctypes.c_void_p()
        sizes, strides = (ctypes.c_int64 * 2)(rows, columns), (ctypes.c_int64 * 2)(columns, 1)
        check(self.dnnl.dnnl_memory_desc_create_with_strides(ctypes.byref(description), 2, sizes, kind, strides))
        return description

    def any(self, rows: int, columns: int, kind: int) -> ctypes.c_void_p:
        """The description of a matrix in whatever layout is best."""
        description = ctypes.c_void_p()
        sizes = (ctypes.c_int64 * 2)(rows, columns)
        check(self.dnnl.dnnl_memory_desc_create_with_tag(ctypes.byref(description), 2, sizes, kind, 1))
        return description

    def memory(self, description: ctypes.c_void_p) -> ctypes.c_void_p:
        """Memory full of small numbers of any type."""
        size = self.dnnl.dnnl_memory_desc_get_size(description)
        buffer = ctypes.create_string_buffer(b"\x11" * size, size)
        memory = ctypes.c_void_p()
        check(self.dnnl.dnnl_memory_create(ctypes.byref(memory), description, self.engine, buffer))
        self.buffers.append(buffer)
        return memory

    def measure(self, name: str, m: int, k: int, n: int) -> float | None:
        if name not in TYPES:
            return None
        self.buffers: list[ctypes.Array] = []
        source_kind, weight_kind = TYPES[name]
        source, target = self.plain(m, k, source_kind), self.plain(m, n, F32)
        plan, product = ctypes.c_void_p(), ctypes.c_void_p()
        weights = self.any(k, n, weight_kind)
        check(
            self.dnnl.dnnl_matmul_primitive_desc_create(
                ctypes.byref(plan), self.engine, source, weights, None, target, None
            )
        )
        check(self.dnnl.dnnl_primitive_create(ctypes.byref(product), plan))
        packed = ctypes.c_void_p(self.dnnl.dnnl_primitive_desc_query_md(plan, QUERY_WEIGHTS, 0))
        sides = self.memory(source), self.memory(target)
        arguments = [
            (Argument * 3)(
                Argument(SOURCE, sides[0].value), Argument(WEIGHTS, self.memory(packed).value), Argument(TARGET, sides[1].value)
            )
            for _ in range(copies(m, k * n * BYTES[weight_kind]))
        ]

        def call(number: int) -> None:
            check(self.dnnl.dnnl_primitive_execute(product, self.stream, 3, arguments[number % len(arguments)]))
            check(self.dnnl.dnnl_stream_wait(self.stream))

        return fastest(call)


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != sys.argv[1]:
        # The library reads its number of threads when it is loaded.
        os.environ["OMP_NUM_THREADS"] = sys.argv[1]
        os.execv(sys.executable, [sys.executable, *sys.argv])
    onednn = OneDnn(sys.argv[2])
    answer(onednn.version(), onednn.measure)
