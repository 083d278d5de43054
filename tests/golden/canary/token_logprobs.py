#!/usr/bin/env python3
"""Writes token-logprobs.json: how probable NeMo finds each token of its own greedy answers. token_logprobs.py FOLDER

FOLDER holds the archives, `*.decode.json` and `audio/` of this one. The answer of a case goes through the decoder once more, whole;
its logarithms must add up to the score that the beam search gave it.

needs: nemo_toolkit[asr] 3.0.0, soundfile
"""

import json
import sys
from pathlib import Path

import soundfile
import torch
from nemo.collections.asr.models import EncDecMultiTaskModel

MODELS = ["canary-1b", "canary-1b-flash", "canary-180m-flash", "canary-1b-v2"]


def logprobs(model, folder: Path, case: dict) -> list[float]:
    """The natural logarithm of each answered token's probability, the end of the text included."""
    samples, _ = soundfile.read(folder / "audio" / f"{case['audio']}.flac", dtype="float32")
    samples = torch.from_numpy(samples)[None]
    _, _, states, mask = model.forward(input_signal=samples, input_signal_length=torch.tensor([samples.shape[1]]))
    answer = case["beam"]["1"]
    tokens = torch.tensor(answer["sequences"][0])[None]
    given = tokens[:, :-1]
    hidden = model.transf_decoder(
        input_ids=given, decoder_mask=torch.ones_like(given), encoder_embeddings=states, encoder_mask=mask
    )
    rows = model.log_softmax(hidden_states=hidden)[0]
    found = [float(rows[at - 1, int(tokens[0, at])]) for at in range(len(case["prompt_ids"]), tokens.shape[1])]
    assert abs(sum(found) - answer["scores"][0]) < 1e-4 * max(1, abs(sum(found))), (case["audio"], sum(found))
    return [round(value, 6) for value in found]


def main() -> None:
    folder = Path(sys.argv[1])
    blocks = []
    for name in MODELS:
        model = EncDecMultiTaskModel.restore_from(str(folder / f"{name}.nemo"), map_location="cpu").eval()
        model.preprocessor.featurizer.dither = 0.0
        model.preprocessor.featurizer.pad_to = 0
        with torch.no_grad():
            cases = json.loads((folder / f"{name}.decode.json").read_text())["cases"]
            rows = [json.dumps(logprobs(model, folder, case)) for case in cases]
        blocks.append(f" {json.dumps(name)}: [\n" + ",\n".join("  " + row for row in rows) + "\n ]")
    (folder / "token-logprobs.json").write_text("{\n" + ",\n".join(blocks) + "\n}\n")


if __name__ == "__main__":
    main()
