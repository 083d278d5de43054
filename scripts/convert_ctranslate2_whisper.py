#!/usr/bin/env python3
"""Turns Whisper weights in CTranslate2's format into a folder as Hugging Face publishes it.

usage: scripts/convert_ctranslate2_whisper.py SOURCE TARGET

SOURCE holds `model.bin`, `config.json` and `tokenizer.json`; TARGET gets `model.safetensors`, `config.json`,
`generation_config.json`, `preprocessor_config.json` and `tokenizer.json`. Numbers keep their 16-bit form: bytes are moved,
never computed with. Nothing but the standard library is needed.

The format, by CTranslate2's `python/ctranslate2/specs/model_spec.py`, version 6: name of the specification and its revision,
then variables (name, dimensions, type, bytes), then aliases. Names are preceded by their length and end in NUL.
"""

import argparse
import json
import re
import struct
import sys
from pathlib import Path

#: Bytes of a number by CTranslate2's type ids: f32, i8, i16, i32, f16, bf16.
SIZES = {0: 4, 1: 1, 2: 2, 3: 4, 4: 2, 5: 2}
#: Types that safetensors can hold and Whisper's weights come in.
FLOATS = {0: "F32", 4: "F16", 5: "BF16"}


class Reader:
    """Takes values one after another from a file's bytes."""

    def __init__(self, content: bytes):
        self.content, self.at = memoryview(content), 0

    def take(self, count: int) -> memoryview:
        if self.at + count > len(self.content):
            sys.exit(f"model.bin ends at byte {len(self.content)}, in the middle of a value; download it again")
        self.at += count
        return self.content[self.at - count : self.at]

    def number(self, form: str) -> int:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def name(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode()


def read_variables(content: bytes) -> dict[str, tuple[list[int], int, memoryview]]:
    """Name to dimensions, type and bytes."""
    reader = Reader(content)
    version, specification, _revision = reader.number("I"), reader.name(), reader.number("I")
    if version != 6 or specification != "WhisperSpec":
        sys.exit(f"model.bin is {specification} in version {version}; a WhisperSpec in version 6 is read")
    variables = {}
    for _ in range(reader.number("I")):
        name = reader.name()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        kind, length = reader.number("B"), reader.number("I")
        count = 1
        for size in shape:
            count *= size
        if kind not in SIZES or count * SIZES[kind] != length:
            sys.exit(f"model.bin: {name} has {length} bytes, which are not {shape} of type {kind}")
        variables[name] = (shape, kind, reader.take(length))
    return variables


def published(name: str) -> list[str]:
    """The published names of a variable, one for each matrix that is stacked in it; none for what is no weight."""
    ends = {
        "encoder/conv1": "encoder.conv1", "encoder/conv2": "encoder.conv2",
        "encoder/layer_norm": "encoder.layer_norm", "decoder/layer_norm": "decoder.layer_norm",
        "decoder/embeddings": "decoder.embed_tokens",
        "encoder/position_encodings": "encoder.embed_positions", "decoder/position_encodings": "decoder.embed_positions",
    }
    parts = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias", "encodings": "weight"}
    place, _, part = name.rpartition("/")
    if part not in parts:
        return []
    suffix = parts[part]
    if place in ends:
        return [f"model.{ends[place]}.{suffix}"]
    layer = re.fullmatch(r"(encoder|decoder)/layer_(\d+)/(self_attention|attention|ffn)/(layer_norm|linear_\d)", place)
    if layer is None:
        return []
    side, index, block, inner = layer.groups()
    of_block = {
        ("self_attention", "layer_norm"): ["self_attn_layer_norm"],
        ("self_attention", "linear_0"): ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        ("self_attention", "linear_1"): ["self_attn.out_proj"],
        ("attention", "layer_norm"): ["encoder_attn_layer_norm"],
        ("attention", "linear_0"): ["encoder_attn.q_proj"],
        ("attention", "linear_1"): ["encoder_attn.k_proj", "encoder_attn.v_proj"],
        ("attention", "linear_2"): ["encoder_attn.out_proj"],
        ("ffn", "layer_norm"): ["final_layer_norm"],
        ("ffn", "linear_0"): ["fc1"],
        ("ffn", "linear_1"): ["fc2"],
    }[block, inner]
    return [f"model.{side}.layers.{index}.{inner}.{suffix}" for inner in of_block]


def weights_of(variables: dict) -> dict[str, tuple[list[int], str, memoryview]]:
    """Published name to shape, type and bytes."""
    weights = {}
    for name, (shape, kind, content) in variables.items():
        names = published(name)
        if not names:
            continue
        if kind not in FLOATS:
            sys.exit(f"model.bin: {name} is of type {kind}; convert from weights of floats")
        rows, length = shape[0] // len(names), len(content) // len(names)
        for index, target in enumerate(names):
            part = content[index * length : (index + 1) * length]
            # A key matrix has no bias; CTranslate2 stacks zeros where Whisper has none.
            if target.endswith("k_proj.bias"):
                if any(part):
                    sys.exit(f"model.bin: {name} gives keys a bias, which Whisper's do not have")
                continue
            weights[target] = ([rows, *shape[1:]], FLOATS[kind], part)
    return weights


def write_safetensors(weights: dict, path: Path) -> None:
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (shape, dtype, content) in sorted(weights.items()):
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(content)]}
        offset += len(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, (_, _, content) in sorted(weights.items()):
            file.write(content)


def configurations(variables: dict, weights: dict, source: dict, tokens: dict[str, int]) -> dict[str, dict]:
    """File name to content of the three configurations."""
    def scalar(name: str) -> int:
        return int.from_bytes(variables[name][2], "little")

    def shape(name: str) -> list[int]:
        return weights[f"model.{name}.weight"][0]

    def layers(side: str) -> int:
        return len({name.split(".")[3] for name in weights if name.startswith(f"model.{side}.layers.")})

    vocabulary, width = shape("decoder.embed_tokens")
    multilingual = vocabulary >= 51865  # whisper/model.py, is_multilingual
    special = {name: tokens[f"<|{name}|>"] for name in
               ["endoftext", "startoftranscript", "translate", "transcribe", "notimestamps"]}
    common = {
        "bos_token_id": special["endoftext"], "eos_token_id": special["endoftext"], "pad_token_id": special["endoftext"],
        "decoder_start_token_id": special["startoftranscript"],
        "suppress_tokens": source["suppress_ids"], "begin_suppress_tokens": source["suppress_ids_begin"],
    }
    model = {
        "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", **common,
        "activation_function": "gelu", "d_model": width, "num_mel_bins": shape("encoder.conv1")[1],
        "encoder_layers": layers("encoder"), "encoder_attention_heads": scalar("encoder/num_heads"),
        "encoder_ffn_dim": shape("encoder.layers.0.fc1")[0], "max_source_positions": shape("encoder.embed_positions")[0],
        "decoder_layers": layers("decoder"), "decoder_attention_heads": scalar("decoder/num_heads"),
        "decoder_ffn_dim": shape("decoder.layers.0.fc1")[0], "max_target_positions": shape("decoder.embed_positions")[0],
        "is_encoder_decoder": True, "scale_embedding": False, "tie_word_embeddings": True, "vocab_size": vocabulary,
        "torch_dtype": "float16",
    }
    generation = {
        **common, "alignment_heads": source["alignment_heads"], "is_multilingual": multilingual,
        "max_initial_timestamp_index": 50, "max_length": model["max_target_positions"],
        "no_timestamps_token_id": special["notimestamps"], "prev_sot_token_id": tokens["<|startofprev|>"],
        "return_timestamps": False,
    }
    if multilingual:
        generation["task_to_id"] = {task: special[task] for task in ["transcribe", "translate"]}
        generation["lang_to_id"] = {token: id for token, id in tokens.items() if id in set(source["lang_ids"])}
    sound = {
        "feature_extractor_type": "WhisperFeatureExtractor", "processor_class": "WhisperProcessor",
        "feature_size": model["num_mel_bins"], "sampling_rate": 16000, "n_fft": 400, "hop_length": 160,
        "chunk_length": 30, "n_samples": 480000, "nb_max_frames": 3000, "padding_side": "right", "padding_value": 0.0,
        "return_attention_mask": False,
    }
    return {"config.json": model, "generation_config.json": generation, "preprocessor_config.json": sound}


def convert(source: Path, target: Path) -> None:
    """Writes the published folder `target` from the CTranslate2 folder `source`."""
    variables = read_variables((source / "model.bin").read_bytes())
    weights = weights_of(variables)
    tokenizer = (source / "tokenizer.json").read_bytes()
    content = json.loads(tokenizer)
    tokens = {token["content"]: token["id"] for token in content["added_tokens"]}
    tokens |= {token: id for token, id in content["model"]["vocab"].items() if token.startswith("<|")}
    files = configurations(variables, weights, json.loads((source / "config.json").read_text()), tokens)
    target.mkdir(parents=True, exist_ok=True)
    write_safetensors(weights, target / "model.safetensors")
    for name, values in files.items():
        (target / name).write_text(json.dumps(values, indent=2) + "\n")
    (target / "tokenizer.json").write_bytes(tokenizer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    convert(arguments.source, arguments.target)


if __name__ == "__main__":
    main()
