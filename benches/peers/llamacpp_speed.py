#!/usr/bin/env python3
"""Speed of llama.cpp on a GGUF file, through the low-level batch API of llama-cpp-python.

usage: benches/peers/llamacpp_speed.py MODEL.gguf [--threads 2] [--prefill 128,512] [--generate 64] [--runs 3]

    CMAKE_ARGS="-DGGML_NATIVE=ON" pip install --no-binary llama-cpp-python llama-cpp-python==0.3.36

Prefill: one prompt of random tokens, logits of its last token only. Decode: single tokens after a prompt of 32.
The better of flash attention on and off counts. Prints tokens per second of wall time, medians.
"""

import argparse
import statistics
import time

import llama_cpp as lc


class Engine:
    def __init__(self, path: str, threads: int, flash: bool) -> None:
        lc.llama_backend_init()
        self.model = lc.llama_model_load_from_file(path.encode(), lc.llama_model_default_params())
        options = lc.llama_context_default_params()
        options.n_ctx, options.n_batch, options.n_ubatch = 2048, 512, 512
        options.n_threads = options.n_threads_batch = threads
        options.flash_attn_type = lc.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash else lc.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = lc.llama_init_from_model(self.model, options)
        self.batch = lc.llama_batch_init(512, 0, 1)
        vocabulary = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(self.model))
        self.ids = [(31 * place * place + 7 * place) % (vocabulary - 700) + 300 for place in range(2048)]

    def run(self, first: int, count: int) -> None:
        batch = self.batch
        batch.n_tokens = count
        for place in range(count):
            batch.token[place], batch.pos[place] = self.ids[first + place], first + place
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
            batch.logits[place] = place == count - 1
        if lc.llama_decode(self.context, batch):
            raise RuntimeError("llama_decode failed")
        lc.llama_synchronize(self.context)

    def clear(self) -> None:
        lc.llama_memory_clear(lc.llama_get_memory(self.context), True)


def rate(engine: Engine, prompt: int, generate: int) -> float:
    engine.clear()
    if generate == 0:
        begin = time.perf_counter()
        engine.run(0, prompt)
        return prompt / (time.perf_counter() - begin)
    engine.run(0, prompt)
    begin = time.perf_counter()
    for step in range(generate):
        engine.run(prompt + step, 1)
    return generate / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prefill", default="128,512")
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    cells = [(int(length), 0) for length in arguments.prefill.split(",")] + [(32, arguments.generate)]
    best = dict.fromkeys(cells, 0.0)
    for flash in (False, True):
        engine = Engine(arguments.model, arguments.threads, flash)
        for cell in cells:
            rates = [rate(engine, *cell) for _ in range(arguments.runs + 1)][1:]
            best[cell] = max(best[cell], statistics.median(rates))
    for (prompt, generate), found in best.items():
        what = f"decode {generate} after {prompt}" if generate else f"prefill {prompt}"
        print(f"llama.cpp  {what}: {found:.1f} tokens/s ({arguments.threads} threads)")


if __name__ == "__main__":
    main()
