//! What convolutions and attention over packed keys take from the system.

use super::bytes;
use crate::speech::{Conv1d, Conv2d, FeatureMaps, Finish, KeyValues, Window, WinogradConv2d};
use crate::testing::{Random, check_memory};
use crate::{Activation, CacheElement, Format, Isa, PackedWeight, Pool, Precision, Residual, Rows, RowsMut};

#[test]
#[cfg_attr(miri, ignore = "counts memory, which is the same when interpreted")]
fn convolutions_take_no_fresh_memory() {
    let (pool, isa, shape) = (Pool::new(1), Isa::best(), [2, 20, 20, 16]);
    let (x, weight) = (Random::new(113).floats(12_800), Random::new(114).floats(16 * 144));
    let maps = FeatureMaps::new(&x, shape);
    let packed = PackedWeight::pack(&pool, isa, Format::F32, [16, 144], &bytes(&weight)).unwrap();
    let mut out = vec![0.0; x.len()];
    let conv = Conv2d {
        weight: &packed,
        bias: None,
        channels: 16,
        window: Window::three([1, 1]),
        activation: Activation::Relu,
    };
    check_memory("maps", || {
        conv.apply(&pool, Precision::F32, maps, Residual::None, &mut out);
    });
    let conv = WinogradConv2d::pack(&pool, isa, 16, &weight, &[0.0; 16]).unwrap();
    check_memory("Winograd", || conv.apply(&pool, maps, Finish::default(), &mut out));
    let conv = Conv1d {
        weight: &packed,
        bias: None,
        channels: 48,
        stride: 1,
        padding: 1,
        activation: Activation::Gelu,
    };
    let mut out = vec![0.0; 200 * 16];
    check_memory("frames", || conv.apply(&pool, Precision::F32, &x[..9_600], &mut out));
}

#[test]
#[cfg_attr(miri, ignore = "counts memory, which is the same when interpreted")]
fn attention_over_packed_keys_takes_no_fresh_memory() {
    let (pool, tokens, width) = (Pool::new(1), 600, 64);
    let keys = Random::new(112).floats(tokens * width);
    let (queries, keys) = (Rows::new(&keys[..40 * width], width), Rows::new(&keys, width));
    let packed = KeyValues::pack(&pool, Isa::best(), CacheElement::Bf16, 1, [keys, keys]);
    let mut out = vec![0.0; 40 * width];
    check_memory("attention", || {
        packed.attend(&pool, queries, 0.1, RowsMut::new(&mut out, width));
    });
}
