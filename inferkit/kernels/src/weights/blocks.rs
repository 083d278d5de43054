//! GGUF blocks, taken apart into whole quants. No arithmetic on scales happens here.

/// A block of 32 values: `d * quant + m`.
pub(super) struct Short {
    /// f16 scale.
    pub(super) d: u16,
    /// f16 minimum; zero in formats without one.
    pub(super) m: u16,
    pub(super) quants: [i8; 32],
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Low nibbles are the first 16 values, high nibbles the last.
fn nibbles(bytes: &[u8]) -> [i8; 32] {
    let mut quants = [0; 32];
    for (i, byte) in bytes.iter().enumerate().take(16) {
        quants[i] = (byte & 15) as i8;
        quants[i + 16] = (byte >> 4) as i8;
    }
    quants
}

/// Bit i of the four bytes belongs to value i.
fn add_fifth_bits(quants: &mut [i8; 32], bytes: &[u8]) {
    let bits = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    for (i, quant) in quants.iter_mut().enumerate() {
        *quant |= ((bits >> i & 1) << 4) as i8;
    }
}

impl Short {
    pub(super) fn q8_0(block: &[u8]) -> Self {
        let mut quants = [0; 32];
        for (quant, byte) in quants.iter_mut().zip(&block[2..34]) {
            *quant = *byte as i8;
        }
        Self {
            d: u16_at(block, 0),
            m: 0,
            quants,
        }
    }

    pub(super) fn q4_0(block: &[u8]) -> Self {
        Self {
            d: u16_at(block, 0),
            m: 0,
            quants: nibbles(&block[2..18]).map(|quant| quant - 8),
        }
    }

    pub(super) fn q4_1(block: &[u8]) -> Self {
        Self {
            d: u16_at(block, 0),
            m: u16_at(block, 2),
            quants: nibbles(&block[4..20]),
        }
    }

    pub(super) fn q5_0(block: &[u8]) -> Self {
        let mut quants = nibbles(&block[6..22]);
        add_fifth_bits(&mut quants, &block[2..6]);
        Self {
            d: u16_at(block, 0),
            m: 0,
            quants: quants.map(|quant| quant - 16),
        }
    }

    pub(super) fn q5_1(block: &[u8]) -> Self {
        let mut quants = nibbles(&block[8..24]);
        add_fifth_bits(&mut quants, &block[4..8]);
        Self {
            d: u16_at(block, 0),
            m: u16_at(block, 2),
            quants,
        }
    }
}

/// A block of 256 values: `d * scale * quant - dmin * min` (Q4_K, Q5_K) or `d * scale * (quant - 32)` (Q6_K).
pub(super) struct Long {
    /// f16 scale of the scales.
    pub(super) d: u16,
    /// f16 scale of the minima; zero for Q6_K.
    pub(super) dmin: u16,
    /// One for every 32 values (the first eight), or for every 16 (signed bytes).
    pub(super) scales: [u8; 16],
    /// One for every 32 values.
    pub(super) mins: [u8; 8],
    /// Unsigned, as in the file.
    pub(super) quants: [u8; 256],
}

impl Long {
    pub(super) fn q4_k(block: &[u8]) -> Self {
        let (scales, mins) = six_bit_scales(&block[4..16]);
        let mut quants = [0; 256];
        for (quants, bytes) in quants.chunks_exact_mut(64).zip(block[16..144].chunks_exact(32)) {
            for (i, byte) in bytes.iter().enumerate() {
                quants[i] = byte & 15;
                quants[i + 32] = byte >> 4;
            }
        }
        Self {
            d: u16_at(block, 0),
            dmin: u16_at(block, 2),
            scales,
            mins,
            quants,
        }
    }

    pub(super) fn q5_k(block: &[u8]) -> Self {
        let (scales, mins) = six_bit_scales(&block[4..16]);
        let high = &block[16..48];
        let mut quants = [0; 256];
        for (pair, (quants, bytes)) in quants
            .chunks_exact_mut(64)
            .zip(block[48..176].chunks_exact(32))
            .enumerate()
        {
            for (i, byte) in bytes.iter().enumerate() {
                quants[i] = byte & 15 | (high[i] >> (2 * pair) & 1) << 4;
                quants[i + 32] = byte >> 4 | (high[i] >> (2 * pair + 1) & 1) << 4;
            }
        }
        Self {
            d: u16_at(block, 0),
            dmin: u16_at(block, 2),
            scales,
            mins,
            quants,
        }
    }

    pub(super) fn q6_k(block: &[u8]) -> Self {
        let mut quants = [0; 256];
        for (half, quants) in quants.chunks_exact_mut(128).enumerate() {
            let low = &block[half * 64..half * 64 + 64];
            let high = &block[128 + half * 32..128 + half * 32 + 32];
            for i in 0..32 {
                quants[i] = low[i] & 15 | (high[i] & 3) << 4;
                quants[i + 32] = low[i + 32] & 15 | (high[i] >> 2 & 3) << 4;
                quants[i + 64] = low[i] >> 4 | (high[i] >> 4 & 3) << 4;
                quants[i + 96] = low[i + 32] >> 4 | (high[i] >> 6) << 4;
            }
        }
        let mut scales = [0; 16];
        scales.copy_from_slice(&block[192..208]);
        Self {
            d: u16_at(block, 208),
            dmin: 0,
            scales,
            mins: [0; 8],
            quants,
        }
    }
}

/// Eight scales and eight minima of six bits in twelve bytes; the last four of each have their upper two bits in the first
/// eight bytes. Source: `get_scale_min_k4` in ggml.
fn six_bit_scales(bytes: &[u8]) -> ([u8; 16], [u8; 8]) {
    let (mut scales, mut mins) = ([0; 16], [0; 8]);
    for i in 0..4 {
        scales[i] = bytes[i] & 63;
        mins[i] = bytes[i + 4] & 63;
        scales[i + 4] = bytes[i + 8] & 15 | bytes[i] >> 6 << 4;
        mins[i + 4] = bytes[i + 8] >> 4 | bytes[i + 4] >> 6 << 4;
    }
    (scales, mins)
}
