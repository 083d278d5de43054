//! One decode, several filters.

use std::io::Cursor;
use std::sync::Arc;

use super::decoded;
use super::golden;
use crate::audio::DecodeOptions;
use crate::audio::Recording;
use crate::audio::ResamplingFilter;
use crate::audio::decode_by;
use crate::error::Result;
use crate::job::Job;

const BOTH: [ResamplingFilter; 2] = [ResamplingFilter::Steep, ResamplingFilter::Sinc];

fn both(bytes: Vec<u8>, options: &DecodeOptions) -> Result<[Recording; 2]> {
    decode_by(Cursor::new(bytes), options, BOTH, &Job::new())
}

fn alone(bytes: Vec<u8>, filter: ResamplingFilter) -> Recording {
    decoded(bytes, &DecodeOptions::default().with_filter(filter)).unwrap()
}

#[test]
fn each_filter_gives_what_it_gives_alone() {
    for name in [
        "pcm_s16_44k1_stereo.wav",
        "mulaw_8k.wav",
        "opus_48k.opus",
        "flac_s24_16k.flac",
    ] {
        let found = both(golden(name), &DecodeOptions::default()).unwrap();
        assert_eq!(
            found,
            BOTH.map(|filter| alone(golden(name), filter)),
            "{name}: the recordings of one decode"
        );
    }
}

#[test]
fn filters_of_a_recording_of_16_khz_share_its_samples_and_others_do_not() {
    let [first, second] = both(golden("pcm_s16_44k1_stereo.wav"), &DecodeOptions::default()).unwrap();
    assert_ne!(first.samples, second.samples);
    let [first, second] = both(golden("pcm_s32_16k.wav"), &DecodeOptions::default()).unwrap();
    assert!(
        Arc::ptr_eq(&first.samples, &second.samples),
        "samples that need no filter were copied"
    );
}

#[test]
fn a_recording_that_goes_on_at_another_rate_does_so_for_every_filter() {
    // 44.1 and 32 kHz, one after the other in a chained Ogg.
    let chained = [golden("vorbis_44k1_stereo.ogg"), golden("flac_32k.ogg")].concat();
    let found = both(chained.clone(), &DecodeOptions::default()).unwrap();
    assert_eq!(found, BOTH.map(|filter| alone(chained.clone(), filter)));
    assert_eq!(found[0].samples.len(), found[1].samples.len());
}

#[test]
fn a_recording_that_is_too_long_is_too_long_for_every_filter() {
    let options = DecodeOptions::default().with_max_seconds(0.5);
    let error = both(golden("pcm_s16_44k1_stereo.wav"), &options).unwrap_err();
    assert_eq!(error.code(), "audio_too_long");
}
