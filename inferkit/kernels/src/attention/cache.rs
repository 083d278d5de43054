//! Keys and values of one layer, in blocks of 32 tokens.
//!
//! A block of keys is a panel of a matrix product, its columns the tokens; a block of values is one whose inner dimension is
//! the tokens. In bfloat16, two neighbours along the inner dimension stand side by side:
//!
//! ```text
//! bf16   keys [block][kv head][d/2][32][2]               values [block][kv head][16][d][2]
//! f32    keys [block][kv head][d][32]                    values [block][kv head][32][d]
//! int8   keys [block][kv head]{[32] f32 scales; [d][32]}  values [block][kv head]{[32] f32 scales; [32][d]}
//! ```
//!
//! In 8 bits, the key of a head and token is `scale * quant`, and so is its value, each with a scale of its own:
//! `greatest magnitude / 127`. A key or value that holds what is no number is none in all its places.

use half::bf16;

use super::write::{Token, write_bf16, write_f32, write_int8};
use crate::aligned::{AlignedBytes, SharedMut};
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
    /// 8 bits, with an f32 scale for the key and one for the value of each token and head.
    Int8,
}

impl CacheElement {
    /// Bytes of the key, or of the value, of one token and head of `width` values; `None` beyond the address space.
    pub const fn bytes(self, width: usize) -> Option<usize> {
        match self {
            Self::Bf16 => width.checked_mul(2),
            Self::F32 => width.checked_mul(4),
            Self::Int8 => width.checked_add(4),
        }
    }
}

/// Bytes of the scales in front of a block of quants.
pub(super) const SCALE_BYTES: usize = 4 * BLOCK_TOKENS;

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
        BLOCK_TOKENS * self.element.bytes(self.width).unwrap_or_default()
    }

    fn half_bytes(&self) -> Option<usize> {
        let per_token = self.kv_heads.checked_mul(self.element.bytes(self.width)?)?;
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
        let head_bytes = self.shape.head_bytes();
        // One unit a head: units never write to the same place, whatever the slots are.
        pool.run(kv_heads, |head| {
            for (token, &slot) in slots.iter().enumerate() {
                let at = (slot / BLOCK_TOKENS * kv_heads + head) * head_bytes;
                let (key, value) = (&keys.row(token)[head * width..], &values.row(token)[head * width..]);
                // SAFETY: the slot's block exists, so the bytes of this head lie inside both buffers; the rows hold `width`
                // values from there on; only this unit writes to the head. The ISA is available.
                unsafe {
                    let (keys, values) = (key_target.get().add(at), value_target.get().add(at));
                    let token = Token {
                        key: &key[..width],
                        value: &value[..width],
                        at: slot % BLOCK_TOKENS,
                    };
                    match element {
                        CacheElement::F32 => write_f32(keys.cast(), values.cast(), &token),
                        CacheElement::Bf16 => write_bf16(isa, keys.cast(), values.cast(), &token),
                        CacheElement::Int8 => write_int8(isa, keys, values, &token),
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
        let size = self.shape.kv_heads * self.shape.head_bytes();
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
        let start = (slot / BLOCK_TOKENS * kv_heads + head) * self.shape.head_bytes();
        let at = slot % BLOCK_TOKENS;
        let number =
            |half: &[u8], byte: usize| f32::from_le_bytes([half[byte], half[byte + 1], half[byte + 2], half[byte + 3]]);
        let value = |half: &[u8], index: usize| match element {
            CacheElement::F32 => number(half, start + 4 * index),
            CacheElement::Bf16 => {
                let byte = start + 2 * index;
                bf16::from_le_bytes([half[byte], half[byte + 1]]).to_f32_const()
            }
            CacheElement::Int8 => {
                let quant = i8::from_le_bytes([half[start + SCALE_BYTES + index]]);
                f32::from(quant) * number(half, start + 4 * at)
            }
        };
        let key = |i: usize| match element {
            CacheElement::F32 | CacheElement::Int8 => i * BLOCK_TOKENS + at,
            CacheElement::Bf16 => (i / 2 * BLOCK_TOKENS + at) * 2 + i % 2,
        };
        let value_at = |i: usize| match element {
            CacheElement::F32 | CacheElement::Int8 => at * width + i,
            CacheElement::Bf16 => (at / 2 * width + i) * 2 + at % 2,
        };
        let keys = (0..width).map(|i| value(&self.keys, key(i))).collect();
        (keys, (0..width).map(|i| value(&self.values, value_at(i))).collect())
    }

    /// Where keys and values of a block and head begin.
    pub(super) fn block(&self, block: usize, head: usize) -> [*const u8; 2] {
        let at = (block * self.shape.kv_heads + head) * self.shape.head_bytes();
        [self.keys[at..].as_ptr(), self.values[at..].as_ptr()]
    }
}
