//! What products take from the system.

use super::{Precision, Product, gemm};
use crate::testing::{Random, check_memory};
use crate::{Format, Isa, PackedWeight, Pool, Rows, RowsMut};

#[test]
#[cfg_attr(miri, ignore = "counts memory, which is the same when interpreted")]
fn products_take_no_fresh_memory() {
    let (pool, m, n, k) = (Pool::new(1), 40, 96, 512);
    let a = Random::new(110).floats(m * k);
    for (isa, format) in Isa::available().flat_map(|isa| Format::ALL.map(|format| (isa, format))) {
        let bytes = Random::new(111).weight(format, n, k);
        let weight = PackedWeight::pack(&pool, isa, format, [n, k], &bytes).unwrap();
        let mut out = vec![0.0; m * n];
        check_memory(&format!("{} {format:?}", isa.tier()), || {
            let product = Product::new(&weight, RowsMut::new(&mut out, n));
            gemm(&pool, Rows::new(&a, k), Precision::Bf16, &mut [product]);
        });
    }
}
