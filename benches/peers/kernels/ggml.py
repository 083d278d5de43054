#!/usr/bin/env python3
"""Matrix products of ggml, llama.cpp's library, as llama-cpp-python ships it.

usage: benches/peers/kernels/ggml.py THREADS

    CMAKE_ARGS="-DGGML_NATIVE=ON" pip install --no-binary llama-cpp-python llama-cpp-python==0.3.36

One `ggml_mul_mat` a graph, on threads that persist. Weights that ggml repacks on this processor (Q4_K) are in the
buffer type that does so, as llama.cpp loads them.
"""

import ctypes
import importlib.util
import os
import sys

from cells import answer, copies, fastest

F32 = 0
TYPES = {"f32": (0, 1, 4), "bf16": (30, 1, 2), "q8_0": (8, 32, 34), "q4_k": (12, 256, 144)}
REPACKED = ("q4_k",)


class Parameters(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("memory", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


class Ggml:
    def __init__(self, threads: int) -> None:
        package = importlib.util.find_spec("llama_cpp")
        if package is None or package.origin is None:
            raise RuntimeError("llama-cpp-python is not installed")
        folder = os.path.join(os.path.dirname(package.origin), "lib")
        self.base, self.cpu = (
            ctypes.CDLL(os.path.join(folder, name), mode=ctypes.RTLD_GLOBAL) for name in ("libggml-base.so", "libggml-cpu.so")
        )
        pointer = ctypes.c_void_p
        for library, name, result, arguments in (
            (self.base, "ggml_init", pointer, [Parameters]),
            (self.base, "ggml_free", None, [pointer]),
            (self.base, "ggml_new_tensor_2d", pointer, [pointer, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]),
            (self.base, "ggml_mul_mat", pointer, [pointer, pointer, pointer]),
            (self.base, "ggml_new_graph", pointer, [pointer]),
            (self.base, "ggml_build_forward_expand", None, [pointer, pointer]),
            (self.base, "ggml_nbytes", ctypes.c_size_t, [pointer]),
            (self.base, "ggml_backend_tensor_set", None, [pointer, pointer, ctypes.c_size_t, ctypes.c_size_t]),
            (self.base, "ggml_backend_alloc_ctx_tensors_from_buft", pointer, [pointer, pointer]),
            (self.base, "ggml_backend_buffer_free", None, [pointer]),
            (self.base, "ggml_backend_graph_compute", ctypes.c_int, [pointer, pointer]),
            (self.base, "ggml_backend_cpu_buffer_type", pointer, []),
            (self.base, "ggml_backend_buft_name", ctypes.c_char_p, [pointer]),
            (self.base, "ggml_backend_reg_dev_get", pointer, [pointer, ctypes.c_size_t]),
            (self.base, "ggml_backend_reg_get_proc_address", pointer, [pointer, ctypes.c_char_p]),
            (self.cpu, "ggml_backend_cpu_init", pointer, []),
            (self.cpu, "ggml_backend_cpu_reg", pointer, []),
            (self.cpu, "ggml_backend_cpu_set_n_threads", None, [pointer, ctypes.c_int]),
            (self.base, "ggml_threadpool_params_init", None, [pointer, ctypes.c_int]),
            (self.cpu, "ggml_threadpool_new", pointer, [pointer]),
            (self.cpu, "ggml_backend_cpu_set_threadpool", None, [pointer, pointer]),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        self.backend = self.cpu.ggml_backend_cpu_init()
        self.cpu.ggml_backend_cpu_set_n_threads(self.backend, threads)
        parameters = ctypes.create_string_buffer(4096)
        self.base.ggml_threadpool_params_init(parameters, threads)
        self.pool = self.cpu.ggml_threadpool_new(parameters)
        self.cpu.ggml_backend_cpu_set_threadpool(self.backend, self.pool)
        self.plain = self.base.ggml_backend_cpu_buffer_type()
        self.repack = self.repacking_buffer()

    def repacking_buffer(self) -> int | None:
        registry = self.cpu.ggml_backend_cpu_reg()
        address = self.base.ggml_backend_reg_get_proc_address(registry, b"ggml_backend_dev_get_extra_bufts")
        get = ctypes.CFUNCTYPE(ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p)(address)
        types = get(self.base.ggml_backend_reg_dev_get(registry, 0))
        place = 0
        while types[place]:
            if self.base.ggml_backend_buft_name(types[place]) == b"CPU_REPACK":
                return types[place]
            place += 1
        return None

    def measure(self, name: str, m: int, k: int, n: int) -> float | None:
        if name not in TYPES:
            return None
        kind, block, size = TYPES[name]
        count = copies(m, n * k // block * size)
        tensors = self.base.ggml_init(Parameters(64 << 20, None, True))
        weights_here = self.base.ggml_init(Parameters(64 << 20, None, True))
        weights = [self.base.ggml_new_tensor_2d(weights_here, kind, k, n) for _ in range(count)]
        is_repacked = name in REPACKED and self.repack is not None
        buffers = [self.base.ggml_backend_alloc_ctx_tensors_from_buft(weights_here, self.repack if is_repacked else self.plain)]
        rows = self.base.ggml_new_tensor_2d(tensors, F32, k, m)
        graphs = []
        for weight in weights:
            graph = self.base.ggml_new_graph(tensors)
            self.base.ggml_build_forward_expand(graph, self.base.ggml_mul_mat(tensors, weight, rows))
            graphs.append(graph)
        buffers.append(self.base.ggml_backend_alloc_ctx_tensors_from_buft(tensors, self.plain))
        for tensor in [*weights, rows]:
            # Small numbers in every type.
            length = n * k // block * size if tensor is not rows else 4 * m * k
            self.base.ggml_backend_tensor_set(tensor, b"\x11" * length, 0, length)

        def call(number: int) -> None:
            if self.base.ggml_backend_graph_compute(self.backend, graphs[number % count]):
                raise RuntimeError("ggml could not compute")

        seconds = fastest(call)
        for buffer in buffers:
            self.base.ggml_backend_buffer_free(buffer)
        for context in (tensors, weights_here):
            self.base.ggml_free(context)
        return seconds


if __name__ == "__main__":
    answer("ggml of llama-cpp-python", Ggml(int(sys.argv[1])).measure)
