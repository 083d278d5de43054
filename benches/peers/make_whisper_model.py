#!/usr/bin/env python3
"""Makes a Whisper of published size with random weights, as a folder of Hugging Face and as one of CTranslate2.

usage: make_whisper_model.py --like models/demo/whisper --shape large-v3-turbo --hf FOLDER [--ct2 FOLDER] [--short]

Layers, widths, heads and mel bins are those of the published model; tokenizer and vocabulary are those of the folder it is
made like. Its text is nonsense which rarely ends by itself, and rounding decides what it is: two programs write different
numbers of tokens. With --short every text ends at once, so that a comparison is one of encoders.

needs: torch 2.9.1, transformers; ctranslate2 for --ct2
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

# encoder layers, decoder layers, width, heads, mel bins
SHAPES = {"tiny": (4, 4, 384, 6, 80), "small": (12, 12, 768, 12, 80), "large-v3": (32, 32, 1280, 20, 128),
          "large-v3-turbo": (32, 4, 1280, 20, 128)}


def config_of(like: Path, shape: str) -> WhisperConfig:
    encoder_layers, decoder_layers, width, heads, bins = SHAPES[shape]
    config = WhisperConfig.from_pretrained(like)
    config.update({
        "encoder_layers": encoder_layers, "decoder_layers": decoder_layers, "d_model": width, "num_mel_bins": bins,
        "encoder_attention_heads": heads, "decoder_attention_heads": heads, "encoder_ffn_dim": 4 * width,
        "decoder_ffn_dim": 4 * width, "num_hidden_layers": encoder_layers, "pad_token_id": config.eos_token_id,
    })
    return config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--like", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--hf", type=Path, required=True)
    parser.add_argument("--ct2", type=Path)
    parser.add_argument("--short", action="store_true", help="every text ends at once")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    config = config_of(arguments.like, arguments.shape)
    with torch.inference_mode():
        model = WhisperForConditionalGeneration(config)
        if arguments.short:
            norm, table = model.model.decoder.layer_norm, model.model.decoder.embed_tokens.weight
            # It is the padding token too, whose row is made of zeros.
            table[config.eos_token_id].normal_(std=config.init_std)
            norm.weight.zero_()
            norm.bias.copy_(20 * torch.nn.functional.normalize(table[config.eos_token_id], dim=0))
        model = model.half()
        count = sum(parameter.numel() for parameter in model.parameters())
        model.save_pretrained(arguments.hf, safe_serialization=True)
    for name in ("tokenizer.json", "generation_config.json", "preprocessor_config.json"):
        shutil.copyfile(arguments.like / name, arguments.hf / name)
    generation = json.loads((arguments.hf / "generation_config.json").read_text())
    # The heads that follow the sound belong to the model that it is made like.
    generation.pop("alignment_heads", None)
    (arguments.hf / "generation_config.json").write_text(json.dumps(generation, indent=1) + "\n")
    sound = json.loads((arguments.hf / "preprocessor_config.json").read_text())
    sound["feature_size"] = config.num_mel_bins
    (arguments.hf / "preprocessor_config.json").write_text(json.dumps(sound, indent=1) + "\n")
    print(f"{arguments.hf}: {count / 1e6:.0f} M parameters")
    if arguments.ct2:
        command = [Path(sys.executable).parent / "ct2-transformers-converter", "--model", arguments.hf, "--output_dir",
                   arguments.ct2, "--quantization", "float16", "--force", "--copy_files", "tokenizer.json",
                   "preprocessor_config.json"]
        subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    main()
