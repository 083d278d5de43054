#!/usr/bin/env python3
"""Makes a conversation of synthetic voices with espeak-ng, and tells who says what and when.

usage: scripts/make_conversation.py SCRIPT.json OUT.wav        says a script, one after the other
       scripts/make_conversation.py --seconds 600 OUT.wav      six voices at random, no sentence twice in the same way

Needs espeak-ng and sox (Debian packages of these names). OUT is 16 kHz mono, WAV or whatever sox makes of its ending;
OUT.rttm lies beside it. SCRIPT.json holds `voices`, of each its name among espeak-ng's, words a minute and pitch, and
`utterances`, of each the speaker, the text and the seconds of silence before it.
"""

import argparse
import json
import random
import subprocess
import sys
import wave
from array import array
from pathlib import Path

RATE = 16_000

#: Voices of a conversation at random: name, pitch.
VOICES = [("en-us+m3", 40), ("en-us+f2", 60), ("en-gb+m7", 30), ("en-gb+f4", 70), ("en-gb-scotland+m5", 45), ("en-us+f3", 50)]
SUBJECTS = ["my brother", "the new office", "our neighbour", "a friend of mine", "the whole team", "that old machine",
            "the last train", "her teacher", "the small garden", "a letter from the bank", "the doctor", "this report"]
VERBS = ["was waiting for", "has nothing to do with", "came back from", "always talks about", "could not find",
         "will be ready before", "reminds me of", "is going to change", "has paid for", "never mentioned"]
OBJECTS = ["the summer holidays", "the plan for next week", "a cup of coffee", "the meeting on Monday", "the river",
           "an empty station", "the price of bread", "the second chapter", "a long and difficult question", "the weather"]
ENDS = ["", ", I think", ", as far as I know", " after all", ", which is good news", " in the end", ", don't you agree?",
        " although it was late", ", and so did everybody else", ", but I am not sure about that"]


def say(voice: str, words_a_minute: int, pitch: int, text: str) -> array:
    """The sound of a text, as 16-bit samples, with the silence around it cut off."""
    spoken = subprocess.run(["espeak-ng", "-v", voice, "-s", str(words_a_minute), "-p", str(pitch), "--stdout", text],
                            check=True, capture_output=True)
    shaped = subprocess.run(["sox", "-t", "wav", "--ignore-length", "-", "-t", "raw", "-r", str(RATE), "-e", "signed", "-b", "16",
                             "-c", "1", "-", "norm", "-6", "silence", "1", "0.02", "0.3%", "reverse", "silence", "1", "0.02",
                             "0.3%", "reverse"], check=True, capture_output=True, input=spoken.stdout)
    samples = array("h", shaped.stdout)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


class Mixer:
    """Writes sounds that begin one after the other and may overlap."""

    def __init__(self, out: Path):
        self.file = wave.open(str(out), "wb")
        self.file.setparams((1, 2, RATE, 0, "NONE", ""))
        self.written, self.waiting = 0, array("h")

    def add(self, start: int, samples: array) -> None:
        """Adds a sound that begins no earlier than the last one did."""
        self.flush(min(start, self.written + len(self.waiting)))
        silence = max(0, start - self.written - len(self.waiting))
        self.waiting.extend(array("h", bytes(2 * silence)))
        begin = start - self.written
        shared = max(0, min(len(self.waiting) - begin, len(samples)))
        for place in range(shared):
            self.waiting[begin + place] = max(-32768, min(32767, self.waiting[begin + place] + samples[place]))
        self.waiting.extend(samples[shared:])

    def flush(self, until: int) -> None:
        count = max(0, until - self.written)
        part = self.waiting[:count]
        if sys.byteorder == "big":
            part.byteswap()
        self.file.writeframesraw(part.tobytes())
        self.written += count
        self.waiting = self.waiting[count:]

    def close(self) -> float:
        self.flush(self.written + len(self.waiting))
        self.file.close()
        return self.written / RATE


def scripted(script: dict):
    """Speaker, voice, words a minute, pitch, text and the pause before of each utterance."""
    for utterance in script["utterances"]:
        voice = script["voices"][utterance["speaker"]]
        yield utterance["speaker"], voice["name"], voice["words_a_minute"], voice["pitch"], utterance["text"], utterance["pause"]


def at_random(seed: int):
    """The same without end. One utterance of six begins before the one before it is over."""
    chance, before = random.Random(seed), None
    while True:
        speaker = chance.choice([number for number in range(len(VOICES)) if number != before])
        before = speaker
        name, pitch = VOICES[speaker]
        for sentence in range(chance.choice([1, 1, 2, 3])):
            text = f"{chance.choice(SUBJECTS)} {chance.choice(VERBS)} {chance.choice(OBJECTS)}{chance.choice(ENDS)}."
            pause = chance.uniform(0.1, 0.4) if sentence else chance.choice([-0.7, 0.2, 0.3, 0.5, 0.8, 1.5])
            yield f"speaker{speaker}", name, chance.randrange(140, 190), pitch + chance.randrange(-6, 7), text, pause


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("script", nargs="?", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if (arguments.script is None) == (arguments.seconds is None):
        parser.error("give a script or --seconds")
    utterances = scripted(json.loads(arguments.script.read_text())) if arguments.script else at_random(arguments.seed)
    sound = arguments.out.with_suffix(".wav")
    mixer, begin, end, turns = Mixer(sound), 0, RATE // 2, []
    for speaker, voice, words_a_minute, pitch, text, pause in utterances:
        samples = say(voice, words_a_minute, pitch, text)
        begin = max(begin, end + int(pause * RATE))
        if arguments.seconds and (begin + len(samples)) / RATE > arguments.seconds:
            break
        mixer.add(begin, samples)
        end = max(end, begin + len(samples))
        turns.append((begin / RATE, len(samples) / RATE, speaker))
    mixer.add(end, array("h", bytes(RATE)))
    seconds = mixer.close()
    name = sound.stem
    lines = (f"SPEAKER {name} 1 {start:.3f} {length:.3f} <NA> <NA> {speaker} <NA> <NA>\n" for start, length, speaker in turns)
    sound.with_suffix(".rttm").write_text("".join(lines))
    if arguments.out != sound:
        subprocess.run(["sox", str(sound), str(arguments.out)], check=True)
        sound.unlink()
    print(f"{arguments.out}: {seconds:.1f} s, {len(turns)} utterances of {len({turn[2] for turn in turns})} voices")


if __name__ == "__main__":
    main()
