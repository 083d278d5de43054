//! The decoder of a sound track: symphonia's, or ropus for Opus.

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::errors::Error as Fault;
use symphonia::core::packet::Packet;

use super::fault;
use super::opus::OpusDecoder;
use super::opus::RATE as OPUS_RATE;
use crate::error::Result;

/// Most channels a recording may have; a decoder's buffers grow with them.
const MAX_CHANNELS: usize = 64;

/// Turns packets into sound.
pub(super) enum Decoder {
    Opus(Box<OpusDecoder>),
    Other(Box<dyn AudioDecoder>),
}

/// What a packet held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// Samples per second and channel, as decoded.
    pub(super) rate: u32,
    pub(super) channels: usize,
}

impl Decoder {
    /// The decoder for a track with these parameters.
    ///
    /// # Errors
    /// `invalid_audio` for an encoding that is not read here, or one with too many channels.
    pub(super) fn new(parameters: &AudioCodecParameters) -> Result<Self> {
        let channels = parameters.channels.as_ref().map_or(0, Channels::count);
        if channels > MAX_CHANNELS {
            return Err(fault::invalid(format!(
                "the recording has {channels} channels; send at most {MAX_CHANNELS}"
            )));
        }
        if parameters.codec == CODEC_ID_OPUS {
            let head = parameters.extra_data.as_deref().unwrap_or_default();
            let decoder = OpusDecoder::new(head).ok_or_else(|| {
                fault::unsupported(&Fault::Unsupported("the Opus header is damaged or of a rare layout"))
            })?;
            return Ok(Self::Opus(Box::new(decoder)));
        }
        symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &AudioDecoderOptions::default())
            .map(Self::Other)
            .map_err(|cause| fault::unsupported(&cause))
    }

    /// The rate that the file itself has, where that is not the rate of what is decoded.
    pub(super) const fn nominal_rate(&self, decoded: u32) -> u32 {
        match self {
            Self::Opus(_) => 48_000,
            Self::Other(_) => decoded,
        }
    }

    /// Whether it leaves out by itself what its encoder needed before the first sample.
    pub(super) const fn skips_start(&self) -> bool {
        matches!(self, Self::Opus(_))
    }

    /// Decodes one packet into `interleaved`, `[t, channels]`.
    ///
    /// # Errors
    /// Symphonia's; a damaged packet is a [`Fault::DecodeError`], after which the next may be tried.
    pub(super) fn decode(&mut self, packet: &Packet, interleaved: &mut Vec<f32>) -> Result<Format, Fault> {
        match self {
            Self::Opus(decoder) => decoder
                .decode(&packet.data, packet.trim_end.get(), interleaved)
                .map(|channels| Format {
                    rate: OPUS_RATE,
                    channels,
                })
                .ok_or(Fault::DecodeError("opus: damaged packet")),
            Self::Other(decoder) => {
                let decoded = decoder.decode(packet)?;
                decoded.copy_to_vec_interleaved(interleaved);
                let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
                if channels > MAX_CHANNELS {
                    return Err(Fault::Unsupported("too many channels"));
                }
                Ok(Format { rate, channels })
            }
        }
    }
}
