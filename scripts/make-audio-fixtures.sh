#!/usr/bin/env bash
# Writes tests/golden/audio: one second of sound, given by a formula, in every container and encoding that is read;
# tests/golden/spoken: a sentence of the demo in most of them, which must give one text;
# and inferkit/fuzz/corpus/audio: a beep of each kind, from which the fuzzer begins.
#
# Needs ffmpeg (5.1 was used). The tests need nothing: they compute the same formula at 16 kHz
# (inferkit/src/audio/tests/reference.rs) and compare. Encoders change with their version, hence the files are kept.
set -euo pipefail
cd "$(dirname "$0")/../tests/golden/audio"

# Three tones, two of them gliding, all below 3.6 kHz so that 8 kHz files hold them, faded in and out over the second.
tones='0.3*sin(2*PI*(200*t+300*t*t))+0.2*sin(2*PI*1500*t)+0.1*sin(2*PI*(3000*t+250*t*t))'
mono="pow(sin(PI*t),2)*($tones)"
# What the second channel has less of it, the first has more: their average is the mono signal.
side='0.1*pow(sin(PI*t),2)*sin(2*PI*700*t)'
stereo="$mono+$side|$mono-$side"
six="$mono+$side|$mono-$side|$mono|$mono|$mono+$side|$mono-$side"

# write FILE RATE EXPRESSION LAYOUT [OPTION ...]
write() {
    local file=$1 rate=$2 expression=$3 layout=$4
    shift 4
    ffmpeg -hide_banner -loglevel error -y -bitexact -f lavfi \
        -i "aevalsrc=exprs='$expression':s=$rate:d=1:c=$layout" -map_metadata -1 -bitexact "$@" "$file"
}

write pcm_u8_16k.wav 16000 "$mono" mono -c:a pcm_u8
write pcm_s16_44k1_stereo.wav 44100 "$stereo" stereo -c:a pcm_s16le
write pcm_s24_22k05.wav 22050 "$mono" mono -c:a pcm_s24le
write pcm_s32_16k.wav 16000 "$mono" mono -c:a pcm_s32le
write pcm_f32_8k.wav 8000 "$mono" mono -c:a pcm_f32le
write pcm_f64_11k025.wav 11025 "$mono" mono -c:a pcm_f64le
write alaw_16k.wav 16000 "$mono" mono -c:a pcm_alaw
write mulaw_8k.wav 8000 "$mono" mono -c:a pcm_mulaw
write adpcm_ima_16k.wav 16000 "$mono" mono -c:a adpcm_ima_wav
write adpcm_ms_16k.wav 16000 "$mono" mono -c:a adpcm_ms
write pcm_s16_24k.aiff 24000 "$mono" mono -c:a pcm_s16be
write flac_s16_48k_stereo.flac 48000 "$stereo" stereo -c:a flac -sample_fmt s16
write flac_s24_16k.flac 16000 "$mono" mono -c:a flac -sample_fmt s32 -bits_per_raw_sample 24
write flac_32k.ogg 32000 "$mono" mono -c:a flac -sample_fmt s16
write mp3_44k1_stereo.mp3 44100 "$stereo" stereo -c:a libmp3lame -b:a 96k
write mp3_16k.mp3 16000 "$mono" mono -c:a libmp3lame -b:a 48k
write aac_44k1_stereo.m4a 44100 "$stereo" stereo -c:a aac -b:a 128k
write aac_16k.aac 16000 "$mono" mono -c:a aac -b:a 48k
write alac_44k1.m4a 44100 "$mono" mono -c:a alac
write vorbis_44k1_stereo.ogg 44100 "$stereo" stereo -c:a libvorbis -q:a 6
write vorbis_48k.webm 48000 "$mono" mono -c:a libvorbis -q:a 6
write opus_48k_stereo.opus 48000 "$stereo" stereo -c:a libopus -b:a 96k
write opus_48k.opus 48000 "$mono" mono -c:a libopus -b:a 48k
write opus_48k_six.opus 48000 "$six" 5.1 -c:a libopus -b:a 192k -mapping_family 1
write opus_48k_stereo.webm 48000 "$stereo" stereo -c:a libopus -b:a 96k
write opus_48k.mp4 48000 "$mono" mono -c:a libopus -b:a 48k

# Two minutes of nothing in a few kilobytes.
ffmpeg -hide_banner -loglevel error -y -bitexact -f lavfi -i "anullsrc=r=48000:cl=mono" -t 120 \
    -map_metadata -1 -bitexact -c:a libopus -b:a 6k -frame_duration 60 -application voip silence_120s.opus

mkdir -p ../spoken
cd ../spoken

# spoken FILE [OPTION ...]
spoken() {
    local file=$1
    shift
    ffmpeg -hide_banner -loglevel error -y -bitexact -i ../../../examples/demo/1_en.flac -map_metadata -1 -bitexact "$@" "$file"
}

spoken aac_16k.aac -ar 16000 -c:a aac -b:a 24k
spoken aac_44k1_stereo.m4a -ar 44100 -ac 2 -c:a aac -b:a 64k
spoken adpcm_ima_16k.wav -ar 16000 -c:a adpcm_ima_wav
spoken alac_16k.m4a -ar 16000 -c:a alac
spoken alaw_8k.wav -ar 8000 -c:a pcm_alaw
spoken flac_22k05.ogg -ar 22050 -c:a flac -sample_fmt s16
spoken mp3_16k.mp3 -ar 16000 -c:a libmp3lame -b:a 24k
spoken mp3_44k1_stereo.mp3 -ar 44100 -ac 2 -c:a libmp3lame -b:a 64k
spoken mulaw_8k.wav -ar 8000 -c:a pcm_mulaw
spoken opus_48k.mp4 -ar 48000 -c:a libopus -b:a 20k
spoken opus_48k.opus -ar 48000 -c:a libopus -b:a 20k
spoken opus_48k.webm -ar 48000 -c:a libopus -b:a 20k
spoken pcm_s16_8k.aiff -ar 8000 -c:a pcm_s16be
spoken pcm_u8_11k025.wav -ar 11025 -c:a pcm_u8
spoken vorbis_32k.ogg -ar 32000 -c:a libvorbis -q:a 1
spoken vorbis_48k_stereo.webm -ar 48000 -ac 2 -c:a libvorbis -q:a 1

cd ../../../inferkit/fuzz/corpus/audio

# seed FILE RATE [OPTION ...]
seed() {
    local file=$1 rate=$2
    shift 2
    ffmpeg -hide_banner -loglevel error -y -bitexact -f lavfi -i "sine=f=500:r=$rate:d=0.15" \
        -map_metadata -1 -bitexact "$@" "$file"
}

seed pcm.wav 16000
seed pcm_be.aiff 16000
seed adpcm.wav 16000 -c:a adpcm_ima_wav
seed adpcm_ms.wav 16000 -c:a adpcm_ms
seed flac.flac 16000
seed flac.ogg 16000 -c:a flac
seed mp3.mp3 16000 -b:a 32k
seed aac.aac 16000 -b:a 24k
seed aac.m4a 16000 -b:a 24k
seed alac.m4a 16000 -c:a alac
seed vorbis.ogg 16000 -c:a libvorbis
seed vorbis.webm 16000 -c:a libvorbis
seed opus.opus 48000 -c:a libopus -b:a 24k
seed opus.webm 48000 -c:a libopus -b:a 24k
seed opus.mp4 48000 -c:a libopus -b:a 24k
