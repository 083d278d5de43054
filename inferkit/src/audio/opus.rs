//! Opus packets to sound at 16 kHz. The only file that knows the decoder's crate.
//!
//! Opus has no sampling rate of its own: it is decoded straight to 16 kHz, which is cheaper than 48 kHz and a resampler.

use ropus::OpusMSDecoder;

/// Samples per second that the decoder is set to.
pub(super) const RATE: u32 = 16_000;

/// Longest packet: 120 ms (RFC 6716, section 3.2.5), in samples.
const LONGEST_PACKET: usize = 1_920;

/// Samples at Opus' nominal 48 kHz for each of ours.
const RATIO: u64 = 3;

/// Decodes the packets of one stream.
pub(super) struct OpusDecoder {
    decoder: OpusMSDecoder,
    channels: usize,
    /// Factor of the header's output gain.
    gain: f32,
    /// Frames at the start that belong to the encoder, not to the recording.
    skip: usize,
    pcm: Vec<i16>,
}

impl OpusDecoder {
    /// By the identification header, `OpusHead` (RFC 7845, section 5.1).
    ///
    /// MP4 writes the same fields in big-endian order and marks them by version 0 (its `dOps` box).
    /// `None` for a header that is damaged or of a layout without loudspeakers.
    pub(super) fn new(head: &[u8]) -> Option<Self> {
        let is_mp4 = *head.get(8)? == 0;
        let channels = *head.get(9)?;
        let number = |at: usize| {
            let bytes = [*head.get(at)?, *head.get(at + 1)?];
            Some(if is_mp4 {
                u16::from_be_bytes(bytes)
            } else {
                u16::from_le_bytes(bytes)
            })
        };
        let (streams, coupled, mapping) = match *head.get(18)? {
            0 => (1, channels.checked_sub(1)?, &[0, 1][..]),
            1 => (*head.get(19)?, *head.get(20)?, head.get(21..)?),
            _ => return None,
        };
        let mapping = mapping.get(..usize::from(channels))?;
        // Each stream costs memory; more of them than channels are of no use.
        if streams > channels {
            return None;
        }
        let rate = i32::try_from(RATE).ok()?;
        let decoder = OpusMSDecoder::new(rate, channels.into(), streams.into(), coupled.into(), mapping).ok()?;
        Some(Self {
            decoder,
            channels: channels.into(),
            gain: gain(number(16)?),
            skip: usize::from(number(10)?) / 3,
            pcm: vec![0; LONGEST_PACKET * usize::from(channels)],
        })
    }

    /// Decodes one packet into `interleaved` (`[t, channels]`) and returns the number of channels.
    ///
    /// `surplus` is what the container says to cut from the end, at 48 kHz. `None` for a damaged packet.
    pub(super) fn decode(&mut self, packet: &[u8], surplus: u64, interleaved: &mut Vec<f32>) -> Option<usize> {
        interleaved.clear();
        if packet.is_empty() {
            return Some(self.channels);
        }
        let length = i32::try_from(packet.len()).ok()?;
        let longest = i32::try_from(LONGEST_PACKET).ok()?;
        let frames = self
            .decoder
            .decode(Some(packet), length, &mut self.pcm, longest, false)
            .ok()?;
        let frames = usize::try_from(frames).ok()?;
        let surplus = usize::try_from((surplus + RATIO / 2) / RATIO).ok()?;
        let skipped = self.skip.min(frames);
        self.skip -= skipped;
        let kept = skipped * self.channels..frames.saturating_sub(surplus).max(skipped) * self.channels;
        let scale = self.gain / 32_768.0;
        interleaved.extend(self.pcm.get(kept)?.iter().map(|sample| f32::from(*sample) * scale));
        Some(self.channels)
    }
}

/// The factor for a gain in 1/256 dB, written as two's complement.
fn gain(bits: u16) -> f32 {
    10.0_f32.powf(f32::from(bits.cast_signed()) / (20.0 * 256.0))
}
