//! What strangers send: nothing, nonsense, halves, lies and bombs.

use std::io::Cursor;
use std::io::Error as IoError;
use std::io::Read;
use std::io::Result as IoResult;
use std::io::Seek;
use std::io::SeekFrom;
use std::sync::Arc;
use std::sync::Mutex;

use super::decoded;
use super::golden;
use super::refused;
use super::written::float_wav;
use super::written::silent_flac;
use super::written::wav;
use crate::audio::DecodeOptions;
use crate::audio::Meter;
use crate::audio::decode;
use crate::error::Error;
use crate::job::Job;

#[test]
fn an_empty_file_is_refused() {
    let (code, text) = refused([]);
    assert_eq!(code, "invalid_audio");
    assert!(text.contains("empty"), "{text}");
}

#[test]
fn what_is_no_recording_is_refused_with_the_kinds_that_are_read() {
    let picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".repeat(100);
    let archive = b"PK\x03\x04".repeat(1_000);
    let text = b"This is a text that somebody named speech.wav.\n".repeat(2_000);
    for bytes in [
        text,
        picture,
        archive,
        vec![0; 100_000],
        vec![0xff; 100_000],
        vec![b'R'; 3],
    ] {
        let (code, text) = refused(bytes);
        assert_eq!(code, "invalid_audio");
        assert!(text.contains("WAV, AIFF, FLAC") || text.contains("complete"), "{text}");
    }
}

/// Files that can be read from their beginning, and the percentage from which on there is a packet behind the headers.
const STREAMS: [(&str, usize); 6] = [
    ("pcm_s16_44k1_stereo.wav", 5),
    ("adpcm_ima_16k.wav", 30),
    ("flac_s16_48k_stereo.flac", 30),
    ("mp3_44k1_stereo.mp3", 15),
    ("aac_16k.aac", 20),
    ("silence_120s.opus", 20),
];

/// Files whose reader wants to see their end first, or a page that is whole: these here have one page for their second.
const WHOLES: [&str; 7] = [
    "pcm_s16_24k.aiff",
    "vorbis_44k1_stereo.ogg",
    "opus_48k_stereo.opus",
    "opus_48k_stereo.webm",
    "aac_44k1_stereo.m4a",
    "alac_44k1.m4a",
    "opus_48k.mp4",
];

#[test]
fn a_stream_that_ends_early_gives_what_is_there_and_nothing_else() {
    /// Samples at the end for which a resampler wants to see what follows.
    const SEEN_AHEAD: usize = 1_000;
    let mut wrong = Vec::new();
    for (name, first) in STREAMS {
        let file = golden(name);
        let whole = decoded(file.clone(), &DecodeOptions::default()).unwrap().samples;
        for part in [first, 50, 80, 99] {
            let found = match decoded(&file[..file.len() * part / 100], &DecodeOptions::default()) {
                Ok(found) => found.samples,
                Err(error) => {
                    wrong.push(format!("{name} at {part} %: {error}"));
                    continue;
                }
            };
            // Headers take their part, and encoders spend more bytes on what is loud.
            let share = 100 * found.len() / whole.len();
            let is_about = share <= part + 5 && share + 30 >= part;
            let same = found.len().saturating_sub(SEEN_AHEAD);
            let pairs = found.iter().zip(whole.iter()).take(same);
            let differ = pairs.filter(|(found, whole)| (*found - *whole).abs() > 1e-6).count();
            if !is_about || differ > 0 {
                wrong.push(format!(
                    "{name} at {part} %: {share} % of the sound, {differ} other samples"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_beginning_without_a_packet_is_refused() {
    for name in STREAMS.iter().map(|(name, _)| name).chain(&WHOLES) {
        let whole = golden(name);
        for bytes in [1, 4, 12, 20] {
            let (code, text) = refused(&whole[..bytes]);
            assert_eq!(code, "invalid_audio", "{name}, {bytes} bytes: {text}");
        }
    }
}

#[test]
fn a_file_whose_end_is_wanted_first_is_refused_without_it() {
    for name in WHOLES {
        let whole = golden(name);
        for part in [1, 10, 25, 50, 80] {
            let (code, text) = refused(&whole[..whole.len() * part / 100]);
            assert_eq!(code, "invalid_audio", "{name} at {part} %: {text}");
        }
    }
}

#[test]
fn half_of_an_mp3_is_half_of_the_sound() {
    let whole = golden("mp3_44k1_stereo.mp3");
    let found = decoded(&whole[..whole.len() / 2], &DecodeOptions::default()).unwrap();
    assert!(
        (0.4..0.6).contains(&found.duration_seconds),
        "{}",
        found.duration_seconds
    );
}

#[test]
fn a_header_that_promises_more_than_there_is_is_not_believed() {
    let mut file = wav(1, 1, 16_000, 16, &[0; 3_200]);
    file[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    file[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    let found = decoded(file, &DecodeOptions::default()).unwrap();
    assert_eq!(found.samples.len(), 1_600);
}

#[test]
fn a_header_that_cannot_be_is_refused() {
    for (format, channels, rate, bits) in [
        (1, 0, 16_000, 16),
        (1, 1, 0, 16),
        (1, 1, 1, 16),
        (1, 1, u32::MAX, 16),
        (1, 1, 16_000, 0),
        (1, 1, 16_000, 7),
        (1, 1, 16_000, 999),
        (3, 1, 16_000, 16),
        (0x55, 1, 16_000, 16),
        (0xfffe, 1, 16_000, 16),
        (1, u16::MAX, 16_000, 16),
    ] {
        let (code, text) = refused(wav(format, channels, rate, bits, &[1; 4_000]));
        assert_eq!(code, "invalid_audio", "{format} {channels} {rate} {bits}: {text}");
    }
}

#[test]
fn eighteen_channels_are_averaged_and_more_than_have_a_place_refused() {
    let frame: Vec<u8> = (0..18_i16).flat_map(|channel| (channel * 100).to_le_bytes()).collect();
    let found = decoded(wav(1, 18, 16_000, 16, &frame.repeat(1_600)), &DecodeOptions::default()).unwrap();
    assert_eq!((found.channels, found.samples.len()), (18, 1_600));
    let middle = found.samples[800];
    assert!((middle - 850.0 / 32_768.0).abs() < 1e-6, "{middle}");
    for channels in [50, 5_000] {
        let (code, text) = refused(wav(1, channels, 16_000, 16, &vec![0; 20_000]));
        assert_eq!(code, "invalid_audio", "{channels}: {text}");
    }
}

#[test]
fn ten_hours_of_silence_end_at_the_limit() {
    let file = silent_flac(8_790);
    assert!(file.len() < 150_000, "{}", file.len());
    let options = DecodeOptions::default().with_max_seconds(30.0);
    let error = decoded(file, &options).unwrap_err();
    assert_eq!(error.code(), "audio_too_long");
    assert!(error.to_string().contains("30 seconds"), "{error}");

    let error = decoded(golden("silence_120s.opus"), &options).unwrap_err();
    assert_eq!(error.code(), "audio_too_long");
}

#[test]
fn the_limit_itself_is_accepted() {
    let options = DecodeOptions::default().with_max_seconds(1.0);
    assert!(decoded(golden("flac_s16_48k_stereo.flac"), &options).is_ok());
    let options = options.with_max_seconds(0.999);
    assert_eq!(
        decoded(golden("flac_s16_48k_stereo.flac"), &options)
            .unwrap_err()
            .code(),
        "audio_too_long"
    );
    let options = options.with_max_seconds(f64::NAN);
    assert!(decoded(golden("pcm_u8_16k.wav"), &options).is_err());
}

#[test]
fn silence_is_a_recording() {
    let found = decoded(silent_flac(2), &DecodeOptions::default()).unwrap();
    assert_eq!(found.samples.len(), 2 * 32_768 * 2);
    assert!(found.samples.iter().all(|sample| *sample == 0.0));
}

#[test]
fn samples_that_are_no_numbers_are_refused() {
    for value in [f32::NAN, f32::INFINITY] {
        let mut samples = vec![0.1; 3_200];
        samples[1_700] = value;
        let (code, text) = refused(float_wav(&samples));
        assert_eq!(code, "invalid_audio");
        assert!(text.contains("no finite numbers"), "{text}");
    }
}

#[test]
fn a_recording_without_samples_is_refused() {
    let (code, text) = refused(wav(1, 1, 16_000, 16, &[]));
    assert_eq!(code, "invalid_audio");
    assert!(text.contains("no sound"), "{text}");
}

#[test]
fn damage_in_the_middle_costs_the_middle_alone() {
    let mut file = golden("mp3_44k1_stereo.mp3");
    let middle = file.len() / 2;
    file[middle..middle + 400].fill(0);
    let found = decoded(file, &DecodeOptions::default()).unwrap();
    assert!(found.duration_seconds > 0.8, "{}", found.duration_seconds);
}

#[test]
fn decoding_stops_when_nobody_waits_for_it() {
    let job = Job::new();
    job.cancel();
    let error = decode(Cursor::new(golden("mp3_16k.mp3")), &DecodeOptions::default(), &job).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
}

#[test]
fn the_job_is_told_how_far_the_file_is_read() {
    let (job, file) = (Job::new(), golden("pcm_s16_44k1_stereo.wav"));
    let length = file.len() as u64;
    decode(Cursor::new(file), &DecodeOptions::default(), &job).unwrap();
    let progress = job.progress().borrow().clone();
    assert_eq!(
        (progress.phase, progress.done_bytes, progress.total_bytes),
        ("decoding", length, Some(length))
    );
}

/// A file that writes down how far the job is each time it is read.
struct Noting(Cursor<Vec<u8>>, Job, Arc<Mutex<Vec<u64>>>);

impl Read for Noting {
    fn read(&mut self, bytes: &mut [u8]) -> IoResult<usize> {
        self.2.lock().unwrap().push(self.1.progress().borrow().done_bytes);
        self.0.read(bytes)
    }
}

impl Seek for Noting {
    fn seek(&mut self, to: SeekFrom) -> IoResult<u64> {
        self.0.seek(to)
    }
}

#[test]
fn the_job_never_goes_back_though_the_table_of_the_sound_stands_at_the_end() {
    let file = golden("alac_44k1.m4a");
    assert_eq!(file[80_904..80_908], *b"moov", "the table is behind the sound");
    let (job, told) = (Job::new(), Arc::default());
    let noting = Noting(Cursor::new(file), job.clone(), Arc::clone(&told));
    decode(noting, &DecodeOptions::default(), &job).unwrap();
    let told = told.lock().unwrap();
    assert!(told.is_sorted(), "{told:?}");
    assert!(
        told.iter().any(|bytes| (1..80_000).contains(bytes)),
        "it is told while sound is read: {told:?}"
    );
}

#[test]
fn a_meter_is_asked_ahead_of_the_samples_and_its_refusal_ends_the_work() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let meter = Meter::new(move |bytes| {
        seen.lock().unwrap().push(bytes);
        if bytes > 3 << 20 {
            return Err(Error::internal("no more"));
        }
        Ok(())
    });
    let options = DecodeOptions::default().with_meter(meter);
    let short = decoded(silent_flac(2), &options).unwrap();
    let bytes = short.samples.len() as u64 * 4;
    assert!(
        matches!(asked.lock().unwrap().as_slice(), [first] if *first >= bytes),
        "once for less than a MiB"
    );
    let error = decoded(silent_flac(60), &options).unwrap_err();
    assert_eq!(error.to_string(), "no more");
}

/// A disk that fails after the first kilobytes.
struct Failing(Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, bytes: &mut [u8]) -> IoResult<usize> {
        if self.0.position() > 40_000 {
            return Err(IoError::other("bad sector"));
        }
        self.0.read(bytes)
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> IoResult<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_disk_that_fails_is_not_the_fault_of_the_file() {
    let disk = Failing(Cursor::new(golden("pcm_s16_44k1_stereo.wav")));
    let error = decode(disk, &DecodeOptions::default(), &Job::new()).unwrap_err();
    assert_eq!(error.code(), "internal_error");
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(cause.as_deref(), Some("bad sector"));
}
