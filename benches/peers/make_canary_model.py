#!/usr/bin/env python3
"""Makes a Canary checkpoint of published size with random weights, saved by NeMo itself.

usage: make_canary_model.py --like tests/golden/canary/canary-180m-flash.nemo --shape 180m-flash --out model.nemo
                            [--longest 140]

Layers, widths and heads are those of the published model; tokenizers (and with them the vocabulary) are those of the
small file it is made like. Its text is nonsense and rarely ends by itself, so that both sides of a comparison decode
up to the length limit. The published limit makes that a very talkative speaker; --longest sets the decoder's
`max_sequence_length`, prompt included: 140 in a chunk of 40 s are the three tokens a second of ordinary speech.

needs: nemo_toolkit[asr]==3.0.0, torch 2.9.1
"""

import argparse
import tarfile
import tempfile
from pathlib import Path

import torch
from nemo.collections.asr.models import EncDecMultiTaskModel
from omegaconf import OmegaConf

# encoder layers, width, heads; decoder layers, width, heads
SHAPES = {"180m-flash": (17, 512, 8, 4, 1024, 8), "1b-v2": (32, 1024, 8, 8, 1024, 8)}


def resized(config, shape: str, folder: Path):
    layers, width, heads, decoder_layers, decoder_width, decoder_heads = SHAPES[shape]
    config.model_defaults = {"asr_enc_hidden": width, "lm_enc_hidden": decoder_width, "lm_dec_hidden": decoder_width}
    config.encoder.update({"n_layers": layers, "d_model": width, "n_heads": heads, "subsampling_conv_channels": 256})
    decoder = config.transf_decoder.config_dict
    decoder.num_layers, decoder.hidden_size, decoder.num_attention_heads = decoder_layers, decoder_width, decoder_heads
    decoder.inner_size = 4 * decoder_width
    config.transf_encoder.update({"hidden_size": decoder_width, "inner_size": 4 * decoder_width})
    config.head.update({"hidden_size": decoder_width, "num_classes": None})
    tokenizers = config.tokenizer.langs.values() if "langs" in config.tokenizer else [config.tokenizer]
    for tokenizer in tokenizers:
        for key in ("model_path", "vocab_path", "spe_tokenizer_vocab"):
            if tokenizer.get(key):
                tokenizer[key] = str(folder / tokenizer[key].removeprefix("nemo:"))
    return config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--like", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--longest", type=int)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        with tarfile.open(arguments.like) as archive:
            archive.extractall(folder, filter="data")
        config = resized(OmegaConf.load(folder / "model_config.yaml"), arguments.shape, folder)
        if arguments.longest:
            config.transf_decoder.config_dict.max_sequence_length = arguments.longest
        model = EncDecMultiTaskModel(cfg=config).eval()
        model.save_to(str(arguments.out))
    print(f"{arguments.out}: {sum(p.numel() for p in model.parameters()) / 1e6:.0f} M parameters")


if __name__ == "__main__":
    main()
