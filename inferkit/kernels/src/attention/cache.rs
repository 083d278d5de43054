//! Keys and values of one layer, in blocks of 32 tokens.
//!
//! A block of keys is a panel of a matrix product, its columns the tokens; a block of values is one whose inner dimension is
//! the tokens. In bfloat16, two neighbours along the inner dimension stand side by side:
//!
//! ```text
//! bf16   keys [block][kv head][d/2][32][2]     values [block][kv head][16][d][2]
//! f32    keys [block][kv head][d][32]          values [block][kv head][32][d]
//! ```

use half::bf16;

use crate::aligned::{AlignedBytes, SharedMut};
use crate::simd::{Simd, float_tiers};
use crate::{Isa, Pool, Rows};

/// Tokens in a block of the cache.
pub const BLOCK_TOKENS: usize = 32;

/// How a cache keeps its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CacheElement {
    /// bfloat16, rounded to nearest even.
    #[default]
    Bf16,
    /// f32.
    F32,
}

impl CacheElement {
    /// Bytes of one value.
    pub fn bytes(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }
}

/// The measures of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    /// Blocks of [`BLOCK_TOKENS`] tokens.
    pub blocks: usize,
    /// Heads that have keys and values.
    pub kv_heads: usize,
    /// Values per head (d), a multiple of 16.
    pub width: usize,
    /// How values are kept.
    pub element: CacheElement,
}

impl CacheShape {
    /// Bytes of keys and values together; `None` when that exceeds the address space.
    pub fn bytes(&self) -> Option<usize> {
        self.half_bytes()?.checked_mul(2)
    }

    /// Bytes of the keys of one head in a block: so far stand the heads of a block from each other.
    pub(super) fn head_bytes(&self) -> usize {
        BLOCK_TOKENS * self.width * self.element.bytes()
    }

    fn half_bytes(&self) -> Option<usize> {
        let per_token = self
            .kv_heads
            .checked_mul(self.width)?
            .checked_mul(self.element.bytes())?;
        let bytes = per_token.checked_mul(BLOCK_TOKENS)?.checked_mul(self.blocks)?;
        (bytes <= isize::MAX as usize / 4).then_some(bytes)
    }
}

/// Keys and values of one layer.
///
/// Memory is taken from the system as blocks are first written.
#[derive(Debug)]
pub struct KvCache {
    isa: Isa,
    shape: CacheShape,
    keys: AlignedBytes,
    values: AlignedBytes,
}

impl KvCache {
    /// An empty cache.
    ///
    /// # Panics
    /// When `width` is not a multiple of 16, a measure is zero, or [`CacheShape::bytes`] is `None`.
    pub fn new(isa: Isa, shape: CacheShape) -> Self {
        assert!(
            shape.blocks > 0 && shape.kv_heads > 0 && shape.width > 0,
            "a cache without room: {shape:?}"
        );
        assert!(
            shape.width.is_multiple_of(16),
            "a head of {} values is not a multiple of 16",
            shape.width
        );
        let bytes = shape.half_bytes();
        assert!(bytes.is_some(), "a cache beyond the address space: {shape:?}");
        let bytes = bytes.unwrap_or_default();
        Self {
            isa,
            shape,
            keys: AlignedBytes::zeroed(bytes),
            values: AlignedBytes::zeroed(bytes),
        }
    }

    /// Its measures.
    pub fn shape(&self) -> CacheShape {
        self.shape
    }

    /// The instructions that kernels on it use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Writes keys and values of tokens.
    ///
    /// * `keys`, `values`: `[t, kv_heads * d]`
    /// * `slots`: where each token goes, `block * 32 + position in the block`
    ///
    /// Where a slot is named twice, the later token stays.
    ///
    /// # Panics
    /// When shapes differ or a slot does not exist.
    pub fn write(&mut self, pool: &Pool, keys: Rows<'_>, values: Rows<'_>, slots: &[usize]) {
        let CacheShape {
            blocks,
            kv_heads,
            width,
            element,
        } = self.shape;
        for rows in [&keys, &values] {
            assert_eq!(
                [rows.rows(), rows.width()],
                [slots.len(), kv_heads * width],
                "one row of all heads for each slot"
            );
        }
        assert!(
            slots.iter().all(|&slot| slot / BLOCK_TOKENS < blocks),
            "a slot beyond the {blocks} blocks there are"
        );
        let isa = self.isa;
        let (key_target, value_target) = (SharedMut::new(&mut self.keys), SharedMut::new(&mut self.values));
        let head_bytes = BLOCK_TOKENS * width * element.bytes();
        // One unit a head: units never write to the same place, whatever the slots are.
        pool.run(kv_heads, |head| {
            for (token, &slot) in slots.iter().enumerate() {
                let at = (slot / BLOCK_TOKENS * kv_heads + head) * head_bytes;
                let (key, value) = (&keys.row(token)[head * width..], &values.row(token)[head * width..]);
                // SAFETY: the slot's block exists, so the bytes of this head lie inside both buffers; the rows hold `width`
                // values from there on; only this unit writes to the head. The ISA is available.
                unsafe {
                    let (keys, values) = (key_target.get().add(at), value_target.get().add(at));
                    match element {
                        CacheElement::F32 => {
                            write_f32(
                                keys.cast(),
                                values.cast(),
                                slot % BLOCK_TOKENS,
                                &key[..width],
                                &value[..width],
                            );
                        }
                        CacheElement::Bf16 => {
                            let token = Token {
                                key: key.as_ptr(),
                                value: value.as_ptr(),
                                width,
                                at: slot % BLOCK_TOKENS,
                            };
                            write_bf16(isa, keys.cast(), values.cast(), &token);
                        }
                    }
                }
            }
        });
    }

    /// Copies a whole block: a shared prefix that is about to diverge.
    ///
    /// # Panics
    /// When either block does not exist.
    pub fn copy_block(&mut self, from: usize, to: usize) {
        let size = self.shape.kv_heads * self.shape.width * BLOCK_TOKENS * self.shape.element.bytes();
        assert!(
            from < self.shape.blocks && to < self.shape.blocks,
            "blocks {from} and {to} of {}",
            self.shape.blocks
        );
        for half in [&mut self.keys, &mut self.values] {
            half.copy_within(from * size..(from + 1) * size, to * size);
        }
    }

    /// Reads back what is kept for a token and head: keys and values, `d` each.
    ///
    /// # Panics
    /// When slot or head do not exist.
    pub fn read(&self, slot: usize, head: usize) -> (Vec<f32>, Vec<f32>) {
        let CacheShape {
            blocks,
            kv_heads,
            width,
            element,
        } = self.shape;
        assert!(
            slot / BLOCK_TOKENS < blocks && head < kv_heads,
            "slot {slot}, head {head}"
        );
        let start = (slot / BLOCK_TOKENS * kv_heads + head) * BLOCK_TOKENS * width;
        let at = slot % BLOCK_TOKENS;
        let value = |half: &[u8], index: usize| match element {
            CacheElement::F32 => {
                let byte = 4 * (start + index);
                f32::from_le_bytes([half[byte], half[byte + 1], half[byte + 2], half[byte + 3]])
            }
            CacheElement::Bf16 => {
                let byte = 2 * (start + index);
                bf16::from_le_bytes([half[byte], half[byte + 1]]).to_f32_const()
            }
        };
        let key = |i: usize| match element {
            CacheElement::F32 => i * BLOCK_TOKENS + at,
            CacheElement::Bf16 => (i / 2 * BLOCK_TOKENS + at) * 2 + i % 2,
        };
        let value_at = |i: usize| match element {
            CacheElement::F32 => at * width + i,
            CacheElement::Bf16 => (at / 2 * width + i) * 2 + at % 2,
        };
        let keys = (0..width).map(|i| value(&self.keys, key(i))).collect();
        (keys, (0..width).map(|i| value(&self.values, value_at(i))).collect())
    }

    /// Where keys and values of a block and head begin.
    pub(super) fn block(&self, block: usize, head: usize) -> [*const u8; 2] {
        let CacheShape {
            kv_heads,
            width,
            element,
            ..
        } = self.shape;
        let at = (block * kv_heads + head) * BLOCK_TOKENS * width * element.bytes();
        [self.keys[at..].as_ptr(), self.values[at..].as_ptr()]
    }
}

/// # Safety
/// Both targets are the block of one head.
unsafe fn write_f32(keys: *mut f32, values: *mut f32, at: usize, key: &[f32], value: &[f32]) {
    let width = key.len();
    for (i, (key, value)) in key.iter().zip(value).enumerate() {
        *keys.add(i * BLOCK_TOKENS + at) = *key;
        *values.add(at * width + i) = *value;
    }
}

/// A token of one head.
struct Token {
    key: *const f32,
    value: *const f32,
    /// A multiple of 16.
    width: usize,
    /// Position in the block.
    at: usize,
}

float_tiers! {
    fn write_bf16(keys: *mut u16, values: *mut u16, token: &Token) = write_rounded;
}

#[inline(always)]
unsafe fn write_rounded<S: Simd>(keys: *mut u16, values: *mut u16, token: &Token) {
    let mut rounded = [0_u16; 16];
    let (pair, half) = (token.at / 2 * token.width, token.at % 2);
    let mut start = 0;
    while start < token.width {
        S::store_bf16(rounded.as_mut_ptr(), S::load(token.key.add(start)));
        for i in 0..S::LANES / 2 {
            let target = keys.add(((start / 2 + i) * BLOCK_TOKENS + token.at) * 2);
            target.cast::<[u16; 2]>().write([rounded[2 * i], rounded[2 * i + 1]]);
        }
        S::store_bf16(rounded.as_mut_ptr(), S::load(token.value.add(start)));
        for i in 0..S::LANES {
            *values.add((pair + start + i) * 2 + half) = rounded[i];
        }
        start += S::LANES;
    }
}
