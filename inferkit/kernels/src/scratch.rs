//! Working memory that a thread keeps, because fresh pages cost more than a kernel.

use std::cell::Cell;

use crate::aligned::AlignedBytes;

thread_local! {
    static SPARE: Cell<Vec<AlignedBytes>> = const { Cell::new(Vec::new()) };
}

/// Buffers that a thread keeps at most.
const KEPT: usize = 8;

/// A buffer lent by the current thread. Contents are left over from earlier use.
pub(crate) struct Scratch(AlignedBytes);

impl Scratch {
    /// A buffer of at least `len` bytes.
    pub(crate) fn bytes(len: usize) -> Self {
        let mut spare = SPARE.take();
        // The smallest that is large enough, or else the largest.
        let fits = spare
            .iter()
            .enumerate()
            .filter(|(_, bytes)| bytes.len() >= len)
            .min_by_key(|(_, bytes)| bytes.len());
        let chosen = fits
            .or_else(|| spare.iter().enumerate().max_by_key(|(_, bytes)| bytes.len()))
            .map(|(i, _)| i);
        let mut bytes = chosen.map(|i| spare.swap_remove(i)).unwrap_or_default();
        SPARE.set(spare);
        bytes.reserve(len);
        Self(bytes)
    }

    /// A buffer of at least `len` floats.
    pub(crate) fn floats(len: usize) -> Self {
        Self::bytes(4 * len)
    }

    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    pub(crate) fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    pub(crate) fn as_f32(&self) -> &[f32] {
        self.0.as_f32()
    }

    pub(crate) fn as_f32_mut(&mut self) -> &mut [f32] {
        self.0.as_f32_mut()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A thread that is ending has given its list away already: then the buffer is freed.
        let _ = SPARE.try_with(|cell| {
            let mut spare = cell.take();
            if spare.len() < KEPT {
                spare.push(std::mem::take(&mut self.0));
            }
            cell.set(spare);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Scratch;
    use crate::speech::{Conv1d, Conv2d, FeatureMaps, Finish, KeyValues, Window, WinogradConv2d};
    use crate::testing::{Random, taken_by};
    use crate::{
        Activation, AttentionOptions, CacheElement, CacheShape, Format, Isa, KvCache, PackedWeight, Pool, Precision,
        Product, Residual, Rows, RowsMut, Sequence, attention, gemm,
    };

    /// What a kernel may take from the system each time it is called: lists of jobs and of rows. Rows themselves are far larger.
    const LITTLE: usize = 8_192;

    /// The second call must find the memory of the first.
    fn check(what: &str, mut call: impl FnMut()) {
        call();
        let taken = taken_by(call);
        assert!(taken <= LITTLE, "{what} takes {taken} bytes each time it is called");
    }

    #[test]
    #[cfg_attr(miri, ignore = "counts memory, which is the same when interpreted")]
    fn products_take_no_fresh_memory() {
        let (pool, m, n, k) = (Pool::new(1), 40, 96, 512);
        let a = Random::new(110).floats(m * k);
        for (isa, format) in Isa::available().flat_map(|isa| Format::ALL.map(|format| (isa, format))) {
            let bytes = Random::new(111).weight(format, n, k);
            let weight = PackedWeight::pack(&pool, isa, format, [n, k], &bytes).unwrap();
            let mut out = vec![0.0; m * n];
            check(&format!("{} {format:?}", isa.tier()), || {
                let product = Product::new(&weight, RowsMut::new(&mut out, n));
                gemm(&pool, Rows::new(&a, k), Precision::Bf16, &mut [product]);
            });
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "as above")]
    fn attention_takes_no_fresh_memory() {
        let (pool, tokens, width) = (Pool::new(1), 600, 64);
        let mut random = Random::new(112);
        let keys = random.floats(tokens * width);
        let (queries, keys) = (Rows::new(&keys[..40 * width], width), Rows::new(&keys, width));
        let mut out = vec![0.0; 40 * width];
        for element in [CacheElement::Bf16, CacheElement::F32, CacheElement::Int8] {
            let shape = CacheShape {
                blocks: 19,
                kv_heads: 1,
                width,
                element,
            };
            let mut cache = KvCache::new(Isa::best(), shape);
            cache.write(&pool, keys, keys, &(0..tokens).collect::<Vec<_>>());
            let block_table: Vec<u32> = (0..19).collect();
            let sequence = Sequence {
                q_start: 0,
                q_len: 40,
                context: tokens,
                block_table: &block_table,
            };
            check(&format!("{element:?}"), || {
                let options = AttentionOptions::new(1, 0.1);
                attention(
                    &pool,
                    &cache,
                    queries,
                    &[sequence],
                    options,
                    RowsMut::new(&mut out, width),
                );
            });
        }
        let packed = KeyValues::pack(&pool, Isa::best(), CacheElement::Bf16, 1, [keys, keys]);
        check("plain", || {
            packed.attend(&pool, queries, 0.1, RowsMut::new(&mut out, width));
        });
    }

    #[test]
    #[cfg_attr(miri, ignore = "as above")]
    fn convolutions_take_no_fresh_memory() {
        let (pool, isa, shape) = (Pool::new(1), Isa::best(), [2, 20, 20, 16]);
        let (x, weight) = (Random::new(113).floats(12_800), Random::new(114).floats(16 * 144));
        let maps = FeatureMaps::new(&x, shape);
        let bytes: Vec<u8> = weight.iter().flat_map(|x| x.to_le_bytes()).collect();
        let packed = PackedWeight::pack(&pool, isa, Format::F32, [16, 144], &bytes).unwrap();
        let mut out = vec![0.0; x.len()];
        let conv = Conv2d {
            weight: &packed,
            bias: None,
            channels: 16,
            window: Window::three([1, 1]),
            activation: Activation::Relu,
        };
        check("maps", || {
            conv.apply(&pool, Precision::F32, maps, Residual::None, &mut out);
        });
        let conv = WinogradConv2d::pack(&pool, isa, 16, &weight, &[0.0; 16]).unwrap();
        check("Winograd", || conv.apply(&pool, maps, Finish::default(), &mut out));
        let conv = Conv1d {
            weight: &packed,
            bias: None,
            channels: 48,
            stride: 1,
            padding: 1,
            activation: Activation::Gelu,
        };
        let mut out = vec![0.0; 200 * 16];
        check("frames", || conv.apply(&pool, Precision::F32, &x[..9_600], &mut out));
    }

    #[test]
    fn a_thread_gets_its_own_buffer_back() {
        std::thread::spawn(|| {
            let first = Scratch::bytes(1_000).as_ptr();
            let mut again = Scratch::floats(250);
            assert_eq!(again.as_ptr(), first);
            assert!(again.as_f32_mut().len() >= 250 && again.as_bytes_mut().len() >= 1_000);
            assert_ne!(Scratch::bytes(10).as_ptr(), first, "lent out");
        })
        .join()
        .unwrap();
    }
}
