//! Files that the tests write themselves, byte by byte.

/// A WAV file: format tag (1 PCM, 3 float), channels, rate, bits a sample, and the samples' bytes.
pub(super) fn wav(format: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    let block = channels.wrapping_mul(bits / 8);
    let mut file = b"RIFF".to_vec();
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0");
    file.extend(format.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend(rate.wrapping_mul(u32::from(block)).to_le_bytes());
    file.extend(block.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(data);
    file
}

/// A mono WAV file of floats at 16 kHz.
pub(super) fn float_wav(samples: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    wav(3, 1, 16_000, 32, &data)
}

/// Silence as FLAC, mono, 16 bits, 8 kHz, `blocks` blocks of 32,768 samples in 12 bytes or so each.
///
/// Source: RFC 9639, sections 8 (stream information) and 9 (frames).
pub(super) fn silent_flac(blocks: u32) -> Vec<u8> {
    let samples = u64::from(blocks) * 32_768;
    let mut file = b"fLaC\x80\0\0\x22\x80\0\x80\0\0\0\0\0\0\0".to_vec();
    // 20 bits rate, 3 bits channels - 1, 5 bits width - 1, 36 bits length.
    file.extend(((8_000_u64 << 44) | (15 << 36) | samples).to_be_bytes());
    file.extend([0; 16]);
    for block in 0..blocks {
        // Sync, blocks of one size; 2^15 samples at 8 kHz; mono of 16 bits.
        let mut frame = vec![0xff, 0xf8, 0xf4, 0x08];
        frame.extend(char::from_u32(block).unwrap_or_default().to_string().as_bytes());
        frame.push(checksum(&frame, 8, 0x07).to_be_bytes()[1]);
        // One subframe, constant, zero.
        frame.extend([0, 0, 0]);
        frame.extend(checksum(&frame, 16, 0x8005).to_be_bytes());
        file.extend(frame);
    }
    file
}

/// Cyclic redundancy check of `bits` bits, most significant bit first, beginning with zero.
fn checksum(bytes: &[u8], bits: u32, polynomial: u16) -> u16 {
    let top = 1_u32 << (bits - 1);
    let sum = bytes.iter().fold(0_u32, |sum, byte| {
        (0..8).fold(sum ^ (u32::from(*byte) << (bits - 8)), |sum, _| {
            let next = sum << 1;
            if sum & top == 0 {
                next
            } else {
                next ^ u32::from(polynomial)
            }
        }) & (top | (top - 1))
    });
    u16::try_from(sum).unwrap()
}
