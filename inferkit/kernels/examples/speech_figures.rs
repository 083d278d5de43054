//! How fast are the kernels of speech models on this machine?
//!
//! ```text
//! cargo run --release -p inferkit-kernels --example speech_figures -- [threads] [tier]
//! ```
//!
//! Each figure is the minimum over many calls within a quarter of a second; an operation is half a multiply-add.

use std::error::Error;
use std::time::Instant;

use inferkit_kernels::speech::{
    Conv2d, DepthwiseConv1d, DepthwiseConv2d, FeatureMaps, KeyValues, RelativeAttention, RelativeInputs, Window,
};
use inferkit_kernels::{Activation, CacheElement, Format, Isa, PackedWeight, Pool, Precision, Residual, Rows, RowsMut};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let pool = Pool::new(arguments.next().map_or(Ok(1), |threads| threads.parse())?);
    let isa = arguments.next().map_or(Ok(Isa::best()), |tier| Isa::named(&tier))?;
    println!("{}, {} threads", isa.tier(), pool.threads());
    // Layers of a ResNet34 of 32 channels on 10 s: mel by frames by channels, and channels out.
    for (shape, stride, n) in [
        ([1, 80, 998, 1], 1, 32),
        ([1, 80, 998, 32], 1, 32),
        ([1, 80, 998, 32], 2, 64),
        ([1, 40, 499, 64], 1, 64),
        ([1, 20, 250, 128], 1, 128),
        ([1, 10, 125, 256], 1, 256),
    ] {
        convolve(&pool, isa, shape, Window::three([stride; 2]), n)?;
    }
    convolve(&pool, isa, [1, 80, 998, 32], Window::one([2, 2]), 64)?;
    // Subsampling of a Conformer: 30 s by 128 mel bins.
    convolve(&pool, isa, [1, 3_000, 128, 1], Window::three([2, 2]), 256)?;
    depthwise(&pool, isa);
    for frames in [125, 375, 1_500] {
        relative(&pool, isa, frames);
    }
    for (queries, keys) in [(1_500, 1_500), (1, 1_500)] {
        for element in [CacheElement::F32, CacheElement::Bf16] {
            full(&pool, isa, element, queries, keys);
        }
    }
    Ok(())
}

/// Seconds of a call: the least that passed, or the mean that this thread was computing if that is less, as it is for a long
/// call on a machine with other work.
fn fastest(mut call: impl FnMut()) -> f64 {
    let (start, mut least, computing) = (Instant::now(), f64::MAX, computing_seconds());
    for number in 0.. {
        let before = Instant::now();
        call();
        least = least.min(before.elapsed().as_secs_f64());
        if number > 3 && start.elapsed().as_millis() > 250 {
            if let (Some(before), Some(after)) = (computing, computing_seconds()) {
                least = least.min((after - before) / f64::from(number + 1));
            }
            break;
        }
    }
    least
}

/// How long this thread has computed, where Linux says so.
fn computing_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = text.split(' ').next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

/// Numbers between -1 and 1.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 31 % 101) as f32 - 50.0) / 50.0).collect()
}

fn convolve(pool: &Pool, isa: Isa, shape: [usize; 4], window: Window, n: usize) -> Result<(), Box<dyn Error>> {
    let (channels, taps) = (shape[3], window.taps[0] * window.taps[1]);
    let k = taps * channels;
    let bytes: Vec<u8> = numbers(n * k).iter().flat_map(|x| x.to_le_bytes()).collect();
    let x = numbers(shape.iter().product());
    print!("conv {taps} taps, {shape:?} to {n}, stride {}:", window.stride[0]);
    for (name, format, precision) in [
        ("f32", Format::F32, Precision::F32),
        ("bf16 x f32", Format::F32AsBf16, Precision::F32),
        ("bf16", Format::F32AsBf16, Precision::Bf16),
    ] {
        let weight = PackedWeight::pack(pool, isa, format, [n, k], &bytes)?;
        let conv = Conv2d {
            weight: &weight,
            bias: None,
            channels,
            window,
            activation: Activation::Relu,
        };
        let mut out = vec![0.0; conv.shape_out(shape).iter().product()];
        let seconds = fastest(|| conv.apply(pool, precision, FeatureMaps::new(&x, shape), Residual::None, &mut out));
        let rate = 2.0 * (out.len() * k) as f64 / seconds / 1e9;
        print!(" {name} {:.3} ms, {rate:.0} GFLOP/s;", seconds * 1e3);
    }
    println!();
    Ok(())
}

/// The stages of a Conformer's subsampling, and its convolution over time.
fn depthwise(pool: &Pool, isa: Isa) {
    for shape in [[1, 1_500, 64, 256], [1, 750, 32, 256]] {
        let (weight, bias, x) = (numbers(9 * 256), numbers(256), numbers(shape.iter().product()));
        let conv = DepthwiseConv2d {
            weight: &weight,
            bias: &bias,
            window: Window::three([2, 2]),
            activation: Activation::Identity,
        };
        let mut out = vec![0.0; conv.shape_out(shape).iter().product()];
        let seconds = fastest(|| conv.apply(pool, isa, FeatureMaps::new(&x, shape), &mut out));
        println!(
            "depthwise 3x3, {shape:?}, stride 2: {:.3} ms, {:.0} GFLOP/s, {:.0} GB/s",
            seconds * 1e3,
            18.0 * out.len() as f64 / seconds / 1e9,
            4.0 * (out.len() + x.len()) as f64 / seconds / 1e9
        );
    }
    let (weight, bias, x) = (numbers(9 * 1_024), numbers(1_024), numbers(375 * 1_024));
    let conv = DepthwiseConv1d {
        weight: &weight,
        bias: &bias,
        padding: 4,
        activation: Activation::Silu,
    };
    let mut out = vec![0.0; x.len()];
    let seconds = fastest(|| conv.apply(pool, isa, &x, &mut out));
    println!(
        "depthwise of 9 frames, 375 x 1024: {:.3} ms, {:.0} GFLOP/s",
        seconds * 1e3,
        18.0 * out.len() as f64 / seconds / 1e9
    );
}

/// A layer of canary-1b: 8 heads of 128.
fn relative(pool: &Pool, isa: Isa, frames: usize) {
    let (heads, row) = (8, 1_024);
    let (x, table, bias) = (numbers(frames * row), numbers((2 * frames - 1) * row), numbers(row));
    let rows = Rows::new(&x, row);
    let inputs = RelativeInputs {
        queries: rows,
        keys: rows,
        values: rows,
        positions: Rows::new(&table, row),
        lengths: &[frames],
    };
    let attention = RelativeAttention {
        heads,
        key_bias: &bias,
        position_bias: &bias,
        scale: 0.088,
        context: [None, None],
    };
    let mut out = vec![0.0; frames * row];
    let seconds = fastest(|| attention.apply(pool, isa, inputs, RowsMut::new(&mut out, row)));
    // Keys, positions and values, of which positions are counted once a query and key.
    let rate = 6.0 * (frames * frames * row) as f64 / seconds / 1e9;
    println!(
        "relative attention, 8 heads of 128, {frames} frames: {:.3} ms, {rate:.0} GFLOP/s",
        seconds * 1e3
    );
}

/// A layer of Whisper large: 20 heads of 64.
fn full(pool: &Pool, isa: Isa, element: CacheElement, queries: usize, keys: usize) {
    let (heads, row) = (20, 1_280);
    let (q, k) = (numbers(queries * row), numbers(keys * row));
    let rows = Rows::new(&k, row);
    // Enough copies to exceed every cache for a single query.
    let packed: Vec<KeyValues> = (0..if queries == 1 { 8 } else { 1 })
        .map(|_| KeyValues::pack(pool, isa, element, heads, [rows, rows]))
        .collect();
    let mut out = vec![0.0; queries * row];
    let mut call = 0;
    let seconds = fastest(|| {
        packed[call % packed.len()].attend(pool, Rows::new(&q, row), 0.125, RowsMut::new(&mut out, row));
        call += 1;
    });
    println!(
        "full attention, 20 heads of 64, {queries} queries, {keys} keys, {element:?}: {:.3} ms, {:.0} GFLOP/s, {:.1} GB/s",
        seconds * 1e3,
        4.0 * (queries * keys * row) as f64 / seconds / 1e9,
        packed[0].bytes() as f64 / seconds / 1e9
    );
    let seconds = fastest(|| drop(KeyValues::pack(pool, isa, element, heads, [rows, rows])));
    println!("  packed in {:.3} ms", seconds * 1e3);
}
