//! One recording in every container and encoding gives the same samples.

use super::decoded;
use super::golden;
use super::reference;
use crate::audio::DecodeOptions;
use crate::audio::mp4::testing::tag;

/// A file, what it says of itself, and how far it may be from the formula.
struct Kind {
    name: &'static str,
    rate: u32,
    channels: usize,
    /// Signal over error, in dB, that the encoding reaches.
    accuracy_db: f64,
    /// Samples at 16 kHz by which the sound comes late, where the container does not say how many to drop.
    delay: usize,
    /// Samples at 16 kHz beyond the second, where the container does not say how many to drop.
    surplus: usize,
}

impl Kind {
    const fn new(name: &'static str, rate: u32, channels: usize, accuracy_db: f64) -> Self {
        Self {
            name,
            rate,
            channels,
            accuracy_db,
            delay: 0,
            surplus: 0,
        }
    }

    const fn late(self, delay: usize, surplus: usize) -> Self {
        Self { delay, surplus, ..self }
    }
}
/// Accuracies are those measured, less one to three dB for other hardware. Lossless kinds end where the words of the file
/// do (16 bits at this loudness: 93 dB) or the resampler does; lossy ones where their encoder does.
///
/// What comes late or long: blocks of ADPCM are filled up; ADTS and Matroska say nothing of padding. MP4 does, in its edit
/// list. Of six channels one is for bass alone.
const KINDS: &[Kind] = &[
    Kind::new("pcm_u8_16k.wav", 16_000, 1, 36.0),
    Kind::new("pcm_s16_44k1_stereo.wav", 44_100, 2, 90.0),
    Kind::new("pcm_s24_22k05.wav", 22_050, 1, 115.0),
    Kind::new("pcm_s32_16k.wav", 16_000, 1, 140.0),
    Kind::new("pcm_f32_8k.wav", 8_000, 1, 115.0),
    Kind::new("pcm_f64_11k025.wav", 11_025, 1, 115.0),
    Kind::new("alaw_16k.wav", 16_000, 1, 36.0),
    Kind::new("mulaw_8k.wav", 8_000, 1, 36.0),
    Kind::new("adpcm_ima_16k.wav", 16_000, 1, 23.0).late(0, 328),
    Kind::new("adpcm_ms_16k.wav", 16_000, 1, 23.0).late(0, 288),
    Kind::new("pcm_s16_24k.aiff", 24_000, 1, 85.0),
    Kind::new("flac_s16_48k_stereo.flac", 48_000, 2, 90.0),
    Kind::new("flac_s24_16k.flac", 16_000, 1, 120.0),
    Kind::new("flac_32k.ogg", 32_000, 1, 85.0),
    Kind::new("mp3_44k1_stereo.mp3", 44_100, 2, 24.0),
    Kind::new("mp3_16k.mp3", 16_000, 1, 24.0),
    Kind::new("aac_44k1_stereo.m4a", 44_100, 2, 25.0),
    Kind::new("aac_16k.aac", 16_000, 1, 25.0).late(1024, 1408),
    Kind::new("alac_44k1.m4a", 44_100, 1, 115.0),
    Kind::new("vorbis_44k1_stereo.ogg", 44_100, 2, 38.0),
    Kind::new("vorbis_48k.webm", 48_000, 1, 37.0).late(0, 235),
    Kind::new("opus_48k_stereo.opus", 48_000, 2, 40.0),
    Kind::new("opus_48k.opus", 48_000, 1, 30.0),
    Kind::new("opus_48k_six.opus", 48_000, 6, 15.0),
    Kind::new("opus_48k_stereo.webm", 48_000, 2, 40.0).late(0, 216),
    Kind::new("opus_48k.mp4", 48_000, 1, 30.0),
];

#[test]
fn every_kind_of_file_gives_the_same_samples() {
    let expected = reference::mono();
    let mut wrong = Vec::new();
    for kind in KINDS {
        let found = match decoded(golden(kind.name), &DecodeOptions::default()) {
            Ok(found) => found,
            Err(error) => {
                wrong.push(format!("{}: {error}", kind.name));
                continue;
            }
        };
        // A sample earlier or later gives less than 15 dB.
        let accuracy = reference::accuracy_db(&found.samples, &expected, kind.delay);
        let told = (found.source_sample_rate, found.channels, found.samples.len());
        if told != (kind.rate, kind.channels, 16_000 + kind.surplus) || accuracy < kind.accuracy_db {
            wrong.push(format!(
                "{}: {accuracy:.1} dB, rate, channels, length {told:?}",
                kind.name
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The AAC file with what its edit list says in a tag: `text`, where Apple's encoders write it.
fn tagged(text: &str) -> Vec<u8> {
    let mut file = golden("aac_44k1_stereo.m4a");
    let place_of = |file: &[u8], kind: &[u8; 4]| file.windows(4).rposition(|part| part == kind).unwrap();
    // Boxes that are free are passed over; the movie is the last one of the file.
    for kind in [b"edts", b"udta"] {
        let place = place_of(&file, kind);
        file[place..place + 4].copy_from_slice(b"free");
    }
    let movie = place_of(&file, b"moov") - 4;
    file.extend(tag("iTunSMPB", text));
    let length = u32::try_from(file.len() - movie).unwrap();
    file[movie..movie + 4].copy_from_slice(&length.to_be_bytes());
    file
}

#[test]
fn a_tag_cuts_aac_as_the_edit_list_does() {
    let listed = decoded(golden("aac_44k1_stereo.m4a"), &DecodeOptions::default()).unwrap();
    // 1024 samples before 44100 and 956 behind them: 45 blocks.
    let cut = decoded(
        tagged(" 00000000 00000400 000003BC 000000000000AC44"),
        &DecodeOptions::default(),
    )
    .unwrap();
    assert_eq!(cut, listed);
    let uncut = decoded(tagged("nothing"), &DecodeOptions::default()).unwrap();
    assert!(
        (uncut.duration_seconds - 46_080.0 / 44_100.0).abs() < 1e-3,
        "{}",
        uncut.duration_seconds
    );
}

#[test]
fn one_channel_is_taken_where_it_is_asked_for() {
    let (mono, side) = (reference::mono(), reference::side());
    for name in [
        "pcm_s16_44k1_stereo.wav",
        "flac_s16_48k_stereo.flac",
        "opus_48k_stereo.opus",
    ] {
        for (channel, sign) in [(0, 1.0), (1, -1.0)] {
            let expected: Vec<f32> = mono.iter().zip(&side).map(|(mono, side)| mono + sign * side).collect();
            let found = decoded(golden(name), &DecodeOptions::default().with_channel(channel)).unwrap();
            let accuracy = reference::accuracy_db(&found.samples, &expected, 0);
            // The other channel or the average would give less than 16 dB.
            assert!(accuracy > 18.0, "{name}, channel {channel}: {accuracy:.1} dB");
        }
    }
}

#[test]
fn a_channel_that_is_not_there_is_named() {
    let error = decoded(
        golden("pcm_s16_44k1_stereo.wav"),
        &DecodeOptions::default().with_channel(2),
    )
    .unwrap_err();
    assert_eq!((error.code(), error.param()), ("invalid_value", Some("channel")));
    assert_eq!(error.to_string(), "channel is 2, and the recording has 2; give 0 to 1");
}

#[test]
fn the_length_is_told_in_seconds() {
    let found = decoded(golden("opus_48k.opus"), &DecodeOptions::default()).unwrap();
    assert!(
        (found.duration_seconds - 1.0).abs() < 1e-9,
        "{}",
        found.duration_seconds
    );
}
