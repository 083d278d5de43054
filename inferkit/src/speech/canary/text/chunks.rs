//! Where a long recording is cut.
//!
//! Source: NeMo 3.0.0, `nemo/collections/asr/parts/utils/chunking_utils.py` (overlapping chunks) and
//! `nemo/collections/asr/parts/utils/aed_streaming_utils.py` (fixed chunks).

use std::ops::Range;

/// Samples a second.
const RATE_HZ: usize = 16_000;

/// Recordings below this are not cut.
const WHOLE_BELOW_SECONDS: usize = 40;

/// Sizes that are tried, in whole seconds.
const SIZES_SECONDS: std::ops::RangeInclusive<usize> = 30..=40;

/// What neighbouring chunks share.
const OVERLAP_SAMPLES: usize = RATE_HZ;

/// Samples of the parts that very long recordings are cut into first.
const HOUR_SAMPLES: usize = 3600 * RATE_HZ;

/// Feature columns of a fixed chunk: 40 s.
pub(in super::super) const FIXED_CHUNK_COLUMNS: usize = 4000;

/// Feature columns of a fixed chunk where words shall have times: 10 s.
pub(in super::super) const FIXED_CHUNK_COLUMNS_WITH_TIMES: usize = 1000;

/// The hours of a recording of `samples` at 16 kHz, without overlap; each is then cut by [`overlapping_chunks`].
///
/// Texts are joined by a space, times of hour `i` shifted by 3600·i seconds.
pub(in super::super) fn hours(samples: usize) -> Vec<Range<usize>> {
    fixed_chunks(samples, HOUR_SAMPLES)
}

/// Chunks of a recording of `samples` at 16 kHz for models with an aligner: 30 to 40 s that overlap by one second, of the
/// size that makes the last one longest. Merged by [`merge_chunks`](super::merge_chunks).
pub(in super::super) fn overlapping_chunks(samples: usize) -> Vec<Range<usize>> {
    let size = chunk_size(samples);
    if samples <= size {
        return std::iter::once(0..samples).collect();
    }
    let starts = (0..).step_by(size - OVERLAP_SAMPLES);
    starts
        .take_while(|start| start + OVERLAP_SAMPLES < samples)
        .map(|start| start..samples.min(start + size))
        .collect()
}

/// The size of chunks in samples.
fn chunk_size(samples: usize) -> usize {
    if samples < WHOLE_BELOW_SECONDS * RATE_HZ {
        return samples;
    }
    let (mut best, mut longest_last) = (WHOLE_BELOW_SECONDS * RATE_HZ, 0);
    for size in SIZES_SECONDS.map(|seconds| seconds * RATE_HZ) {
        let step = size - OVERLAP_SAMPLES;
        let last = samples - step * (samples.div_ceil(step) - 1);
        if size <= samples && last > longest_last {
            (best, longest_last) = (size, last);
        }
    }
    best
}

/// Chunks of `length` columns (or samples) each, without overlap, the last one shorter; for models without an aligner.
pub(in super::super) fn fixed_chunks(columns: usize, length: usize) -> Vec<Range<usize>> {
    let starts = (0..columns).step_by(length.max(1));
    starts.map(|start| start..columns.min(start + length)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn overlapping_chunks_are_the_golden_ones() {
        let cases = testing::golden("algorithms.json");
        let cases = cases["dynamic_chunks"].as_array().unwrap();
        assert_eq!(cases.len(), 19);
        for case in cases {
            let samples = testing::size(&case["samples"]);
            let found: Vec<usize> = overlapping_chunks(samples).iter().map(ExactSizeIterator::len).collect();
            let expected: Vec<usize> = case["chunk_lens"]
                .as_array()
                .unwrap()
                .iter()
                .map(testing::size)
                .collect();
            assert_eq!(found, expected, "{samples} samples");
        }
    }

    #[test]
    fn overlapping_chunks_cover_everything_and_share_a_second() {
        for samples in [0, 1, 640_001, 1_000_000, 57_600_000] {
            let chunks = overlapping_chunks(samples);
            assert_eq!((chunks[0].start, chunks[chunks.len() - 1].end), (0, samples));
            for pair in chunks.windows(2) {
                assert_eq!(pair[0].end - pair[1].start, OVERLAP_SAMPLES, "{samples} samples");
            }
        }
    }

    #[test]
    fn fixed_chunks_have_no_empty_one_at_the_end() {
        assert_eq!(fixed_chunks(7499, FIXED_CHUNK_COLUMNS), [0..4000, 4000..7499]);
        assert_eq!(
            fixed_chunks(2000, FIXED_CHUNK_COLUMNS_WITH_TIMES),
            [0..1000, 1000..2000]
        );
        assert!(fixed_chunks(0, FIXED_CHUNK_COLUMNS).is_empty());
        assert_eq!(
            hours(HOUR_SAMPLES + 1),
            [0..HOUR_SAMPLES, HOUR_SAMPLES..HOUR_SAMPLES + 1]
        );
    }
}
