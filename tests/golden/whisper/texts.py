#!/usr/bin/env python3
"""Writes what transformers makes of recordings with the demo's Whisper, the golden of `whole_texts.rs`.

usage: texts.py MODEL RECORDING... > texts.json

Needs torch, transformers and soundfile. MODEL is the folder that `scripts/fetch_demo_models.py whisper` makes. `text` is long
form decoding as the original does it: times, text before as prompt, temperatures where a text is not believed: `is_drawn`, and then `certain` is what stands before that. `plain` is what
`generate` gives without options: one pass without times over the first half minute. Words of reference are those that the recordings' own descriptions
name; they stand in this file, since they belong to several folders. `errors` counts words that `text` has wrong, of `words`,
without case and punctuation.
"""

import json
import os
import re
import sys
from pathlib import Path

import soundfile
import torch
from tokenizers import Tokenizer
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

REFERENCES = {
    "1_en": "Set the timer to two minutes.",
    "2_en": "Turn on the garden light.",
    "3_en": "Nine eight eight five.",
    "a_en": "Turn on the light.",
    "b_en": "The quick brown fox jumps over the lazy dog near the river.",
    "t_en": "Go.",
}


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z0-9' ]", " ", text.lower()).split()


def word_errors(reference: list[str], found: list[str]) -> int:
    """Words to replace, leave out and put in."""
    costs = list(range(len(found) + 1))
    for index, word in enumerate(reference, 1):
        before, costs = costs, [index]
        for place, other in enumerate(found, 1):
            costs.append(min(before[place] + 1, costs[-1] + 1, before[place - 1] + (word != other)))
    return costs[-1]


def main() -> None:
    folder, recordings = Path(sys.argv[1]), map(Path, sys.argv[2:])
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    end = model.config.eos_token_id
    decode = lambda ids: tokenizer.decode([id for id in ids[0].tolist() if id < end]).strip()
    extract = WhisperFeatureExtractor.from_pretrained(folder)
    texts = []
    for path in recordings:
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == 16000 and samples.ndim == 1
        # Without this, what comes after half a minute would be cut off.
        whole = dict(truncation=False, padding="longest") if samples.size > 30 * rate else {}
        features = extract(samples, sampling_rate=rate, return_tensors="pt", **whole).input_features
        torch.manual_seed(0)
        long_form = dict(return_timestamps=True, condition_on_prev_tokens=True, logprob_threshold=-1.0,
                         compression_ratio_threshold=2.4, no_speech_threshold=0.6)
        with torch.no_grad():
            greedy = decode(model.generate(features, temperature=0.0, **long_form))
            fallback = decode(model.generate(features, temperature=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0), **long_form))
            plain = decode(model.generate(features[..., :3000]))
        texts.append({"recording": path.name, "text": greedy, "is_drawn": greedy != fallback, "plain": plain})
        if greedy != fallback:
            certain = os.path.commonprefix([greedy.split(), fallback.split()])
            # Draws may begin with the same words by chance, hardly with the same sentence.
            while certain and certain[-1][-1] not in ".?!":
                certain.pop()
            texts[-1]["certain"] = " ".join(certain)
        if reference := REFERENCES.get(path.stem):
            texts[-1] |= {"reference": reference, "words": len(words(reference)),
                          "errors": word_errors(words(reference), words(greedy))}
        print(texts[-1], file=sys.stderr)
    json.dump({"texts": texts}, sys.stdout, ensure_ascii=False, indent=1)
    print()


if __name__ == "__main__":
    main()
