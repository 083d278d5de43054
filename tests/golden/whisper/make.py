#!/usr/bin/env python3
"""Makes the goldens of the Whisper tests: a small multilingual model with random weights, and what the original makes of it.

usage: make.py TARGET

Needs torch, transformers, openai-whisper, tiktoken, numpy and safetensors. The model has Whisper's layout and rules at a
tiny size: 320 text tokens, four languages, width 32, two layers each. `small/` is the folder as Hugging Face publishes it;
`expected.json` holds features, states and logits (transformers) and whole transcripts (openai-whisper, whose tokenizer is
replaced by the small one). The sound is a formula, `signal`, that the tests repeat.
"""

import argparse
import json
import math
import os
from collections import Counter
from pathlib import Path

# Compiling the time warping takes longer than running it.
os.environ["NUMBA_DISABLE_JIT"] = "1"

import numpy as np
import tiktoken
import torch
import whisper
import whisper.decoding
import whisper.tokenizer
import whisper.transcribe
from safetensors.torch import save_file
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

TEXT_TOKENS, LANGUAGES, WIDTH, HEADS, LAYERS = 320, ["en", "zh", "de", "es"], 32, 2, 2
ALIGNMENT_HEADS = [[0, 1], [1, 0], [1, 1]]
CORPUS = """the quick brown fox jumps over the lazy dog and then the other dog jumps over the fox near the river where
the light of the morning turns on the water and nobody says a word until the evening comes again"""


def signal(seconds: float) -> np.ndarray:
    """Tones that change every quarter of a second, with pauses and some noise."""
    state, samples = 1, []
    for i in range(int(seconds * 16000)):
        state = (state * 1103515245 + 12345) % (1 << 31)
        noise = (state / (1 << 31) - 0.5) * 0.1
        step = i // 4000
        tone = 0.4 * math.sin(2 * math.pi * (150 + 90 * (step * 7 % 17)) * i / 16000) if step % 5 else 0.0
        samples.append(tone + noise)
    return np.array(samples, dtype=np.float32)


def padded(samples: np.ndarray) -> np.ndarray:
    """What is shorter than a window is followed by silence, as transformers does; the original puts zeros behind features."""
    return np.pad(samples, (0, max(0, 480000 - len(samples))))


def byte_characters() -> dict[int, str]:
    """GPT-2's table of bytes, in the order of its ids."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in kept]
    return {byte: chr(byte) for byte in kept} | {byte: chr(256 + index) for index, byte in enumerate(others)}


def train_merges() -> list[tuple[bytes, bytes]]:
    """The merges of the commonest pairs, as byte-pair encoding learns them."""
    words = Counter([tuple(bytes([b]) for b in ((" " if i else "") + word).encode()) for i, word in enumerate(CORPUS.split())])
    merges = []
    while len(merges) < TEXT_TOKENS - 256:
        pairs = Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        joined = Counter()
        for word, count in words.items():
            parts, index = [], 0
            while index < len(word):
                if word[index : index + 2] == best:
                    parts.append(best[0] + best[1])
                    index += 2
                else:
                    parts.append(word[index])
                    index += 1
            joined[tuple(parts)] += count
        words = joined
    return merges


def specials() -> list[str]:
    return ["<|endoftext|>", "<|startoftranscript|>", *[f"<|{language}|>" for language in LANGUAGES], "<|translate|>",
            "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
            *[f"<|{index * 0.02:.2f}|>" for index in range(1501)]]


def write_tokenizer(path: Path, merges: list) -> dict[str, int]:
    characters = byte_characters()
    spell = lambda token: "".join(characters[byte] for byte in token)
    tokens = [bytes([byte]) for byte in characters] + [a + b for a, b in merges]
    vocabulary = {spell(token): index for index, token in enumerate(tokens)}
    ids = {name: TEXT_TOKENS + index for index, name in enumerate(specials())}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    # As in published files of the time, times are not among the added tokens.
    added = [{"id": id, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": True} for name, id in ids.items() if not name[2].isdigit()]
    content = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
               "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
               "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                         "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "vocab": vocabulary,
                         "merges": [[spell(a), spell(b)] for a, b in merges]}}
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n")
    return ids


def tokenizer_of_original(merges: list, ids: dict, language, task) -> whisper.tokenizer.Tokenizer:
    ranks = {bytes([byte]): index for index, byte in enumerate(byte_characters())}
    ranks |= {a + b: 256 + index for index, (a, b) in enumerate(merges)}
    pattern = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    encoding = tiktoken.Encoding("small", pat_str=pattern, mergeable_ranks=ranks, special_tokens=ids)
    return whisper.tokenizer.Tokenizer(encoding, num_languages=len(LANGUAGES), language=language or "en",
                                       task=task or "transcribe")


def make_model(ids: dict, tokenizer) -> WhisperForConditionalGeneration:
    torch.manual_seed(5)
    rows = TEXT_TOKENS + len(ids)
    suppressed = sorted(set(tokenizer.non_speech_tokens) | {ids[f"<|{name}|>"] for name in
                        ["translate", "transcribe", "startoftranscript", "startofprev", "startoflm", "nospeech"]})
    end = ids["<|endoftext|>"]
    config = WhisperConfig(
        vocab_size=rows, num_mel_bins=80, d_model=WIDTH, encoder_layers=LAYERS, decoder_layers=LAYERS,
        encoder_attention_heads=HEADS, decoder_attention_heads=HEADS, encoder_ffn_dim=4 * WIDTH, decoder_ffn_dim=4 * WIDTH,
        max_source_positions=1500, max_target_positions=448, dropout=0.0, pad_token_id=end, bos_token_id=end, eos_token_id=end,
        decoder_start_token_id=ids["<|startoftranscript|>"], suppress_tokens=suppressed,
        begin_suppress_tokens=[tokenizer.encode(" ")[0], end])
    model = WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "embed_tokens" in name:
                weight.normal_(0, 0.4)
                # Words are likelier than single bytes; times are many, and smaller rows keep them from winning every step.
                weight[256:TEXT_TOKENS] *= 1.5
                weight[ids["<|0.00|>"]:] *= 0.2
            elif "embed_positions" in name and "decoder" in name:
                weight.normal_(0, 0.5)
            elif "embed_positions" in name:
                weight.mul_(0.3)
            elif name.endswith("weight") and weight.dim() > 1:
                weight.normal_(0, 1.6 / math.sqrt(weight[0].numel()))
            elif name.endswith("bias"):
                weight.normal_(0, 0.1)
        # What is stored is f16: compute with exactly that.
        for weight in model.parameters():
            weight.copy_(weight.half().float())
    return model


def original_of(model: WhisperForConditionalGeneration) -> whisper.Whisper:
    """The same weights in openai-whisper's model."""
    names = [("model.", ""), ("layers.", "blocks."), ("fc1", "mlp.0"), ("fc2", "mlp.2"), ("final_layer_norm", "mlp_ln"),
             ("encoder_attn_layer_norm", "cross_attn_ln"), ("self_attn_layer_norm", "attn_ln"),
             ("encoder_attn", "cross_attn"), ("self_attn", "attn"), ("q_proj", "query"), ("k_proj", "key"),
             ("v_proj", "value"), ("out_proj", "out"), ("embed_positions.weight", "positional_embedding"),
             ("embed_tokens", "token_embedding")]
    state = {}
    for name, weight in model.state_dict().items():
        if name == "proj_out.weight":
            continue
        for old, new in names:
            name = name.replace(old, new)
        name = name.replace("encoder.layer_norm", "encoder.ln_post").replace("decoder.layer_norm", "decoder.ln")
        state[name] = weight
    dims = whisper.model.ModelDimensions(80, 1500, WIDTH, HEADS, LAYERS, model.config.vocab_size, 448, WIDTH, HEADS, LAYERS)
    original = whisper.Whisper(dims)
    original.load_state_dict(state)
    heads = torch.zeros(LAYERS, HEADS, dtype=torch.bool)
    for layer, head in ALIGNMENT_HEADS:
        heads[layer, head] = True
    original.register_buffer("alignment_heads", heads.to_sparse(), persistent=False)
    return original.eval()


def save_model(model, ids: dict, folder: Path) -> None:
    tensors = {name: weight.half().contiguous() for name, weight in model.state_dict().items() if name != "proj_out.weight"}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = model.config
    kept = ["vocab_size", "num_mel_bins", "d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim",
            "max_source_positions", "decoder_layers", "decoder_attention_heads", "decoder_ffn_dim", "max_target_positions",
            "activation_function", "scale_embedding"]
    content = {"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper"}
    content |= {key: getattr(config, key) for key in kept}
    (folder / "config.json").write_text(json.dumps(content, indent=1) + "\n")
    end = ids["<|endoftext|>"]
    generation = {"alignment_heads": ALIGNMENT_HEADS, "suppress_tokens": SUPPRESSED, "begin_suppress_tokens": FIRST,
                  "is_multilingual": True, "max_initial_timestamp_index": 50, "eos_token_id": end,
                  "no_timestamps_token_id": ids["<|notimestamps|>"],
                  "lang_to_id": {f"<|{language}|>": ids[f"<|{language}|>"] for language in LANGUAGES},
                  "task_to_id": {task: ids[f"<|{task}|>"] for task in ["transcribe", "translate"]}}
    (folder / "generation_config.json").write_text(json.dumps(generation) + "\n")
    sound = {"feature_size": 80, "sampling_rate": 16000, "n_fft": 400, "hop_length": 160, "chunk_length": 30}
    (folder / "preprocessor_config.json").write_text(json.dumps(sound) + "\n")


def rounded(values, digits: int = 6) -> list:
    return [round(float(value), digits) for value in np.asarray(values).reshape(-1)]


def stages(model, ids: dict) -> dict:
    """Features, states and logits of three seconds by transformers."""
    sound = signal(3.0)
    features = WhisperFeatureExtractor(feature_size=80)(sound, sampling_rate=16000, return_tensors="pt").input_features
    prompt = [ids[name] for name in ["<|startoftranscript|>", "<|de|>", "<|transcribe|>", "<|0.00|>"]] + [40, 41, 42, 300, 7]
    with torch.no_grad():
        states = model.model.encoder(features).last_hidden_state
        logits = model(input_features=features, decoder_input_ids=torch.tensor([prompt])).logits[0]
    frames = [0, 1, 57, 149, 299, 301]
    return {"seconds": 3.0, "mel_frames": frames, "mel": [rounded(features[0, :, frame]) for frame in frames],
            "state_rows": [0, 1, 700, 1499], "states": [rounded(states[0, row]) for row in [0, 1, 700, 1499]],
            "tokens": prompt, "logit_rows": [0, 8], "logits": [rounded(logits[row], 5) for row in [0, 8]]}


def transcripts(original, merges: list, ids: dict) -> list:
    """Whole transcripts by openai-whisper."""
    make = lambda *args, language=None, task=None, **kwargs: tokenizer_of_original(merges, ids, language, task)
    whisper.transcribe.__globals__["get_tokenizer"] = make
    whisper.decoding.get_tokenizer = make
    whisper.Whisper.is_multilingual = True
    whisper.Whisper.num_languages = len(LANGUAGES)
    whisper.decoding.DecodingTask._get_suppress_tokens = lambda self: tuple(SUPPRESSED)
    cases = [
        {"seconds": 7.3, "language": None, "task": "transcribe", "word_timestamps": False},
        {"seconds": 41.0, "language": "de", "task": "transcribe", "word_timestamps": False},
        {"seconds": 41.0, "language": "de", "task": "transcribe", "word_timestamps": False, "beam_size": 3},
        {"seconds": 33.0, "language": "es", "task": "translate", "word_timestamps": False,
         "initial_prompt": "the other river"},
        {"seconds": 34.5, "language": "en", "task": "transcribe", "word_timestamps": True},
        {"seconds": 6.0, "language": "zh", "task": "transcribe", "word_timestamps": True},
    ]
    for case in cases:
        options = {key: value for key, value in case.items() if key != "seconds"}
        result = whisper.transcribe.__globals__["transcribe"](
            original, padded(signal(case["seconds"])), temperature=0.0, fp16=False, no_speech_threshold=None,
            compression_ratio_threshold=None, logprob_threshold=None, **options)
        case["found_language"] = result["language"]
        case["segments"] = [
            {"start": round(float(s["start"]), 3), "end": round(float(s["end"]), 3), "text": s["text"], "tokens": s["tokens"],
             "average_logprob": round(s["avg_logprob"], 5), "no_speech": round(s["no_speech_prob"], 7),
             "compression_ratio": round(s["compression_ratio"], 3),
             "words": [{"word": w["word"], "start": round(float(w["start"]), 3), "end": round(float(w["end"]), 3),
                        "probability": round(float(w["probability"]), 5)} for w in s.get("words", [])]}
            for s in result["segments"] if s["text"]]
        print(case["seconds"], options, [(s["start"], s["end"], s["text"][:60], len(s["tokens"])) for s in case["segments"]])
    return cases


def main() -> None:
    global SUPPRESSED, FIRST
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    target = parser.parse_args().target
    (target / "small").mkdir(parents=True, exist_ok=True)
    merges = train_merges()
    ids = write_tokenizer(target / "small" / "tokenizer.json", merges)
    tokenizer = tokenizer_of_original(merges, ids, "en", "transcribe")
    model = make_model(ids, tokenizer)
    SUPPRESSED, FIRST = model.config.suppress_tokens, model.config.begin_suppress_tokens
    save_model(model, ids, target / "small")
    expected = {"stages": stages(model, ids), "transcripts": transcripts(original_of(model), merges, ids)}
    (target / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
