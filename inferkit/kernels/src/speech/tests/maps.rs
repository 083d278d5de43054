use super::bytes;
use crate::speech::{Conv2d, DepthwiseConv2d, FeatureMaps, Window};
use crate::testing::{Guarded, Random, cut, same_bits};
use crate::{Activation, Format, Isa, PackedWeight, Pool, Precision, Residual, Rows};

/// Shapes `[b, h, w, c]` with windows and numbers of outputs: one channel, odd ones, runs that are read in place, strides
/// that differ, maps smaller than the kernel; the longest last.
const CASES: [([usize; 4], Window, usize); 8] = [
    ([2, 9, 7, 1], Window::three([2, 2]), 19),
    ([1, 5, 6, 8], Window::three([1, 1]), 32),
    ([2, 6, 5, 10], Window::three([2, 1]), 33),
    ([1, 4, 9, 24], Window::one([2, 2]), 5),
    ([1, 1, 1, 9], Window::three([1, 1]), 3),
    ([1, 2, 8, 26], WIDE, 7),
    ([2, 7, 10, 12], Window::three([2, 2]), 40),
    ([1, 3, 4, 180], Window::three([1, 1]), 20),
];

const WIDE: Window = Window {
    taps: [1, 5],
    stride: [1, 3],
    padding: [0, 2],
};

/// Value of a map at a place that may lie in the padding or beyond the rows that count.
fn pixel(x: &FeatureMaps<'_>, map: usize, [row, column]: [isize; 2], channel: usize) -> f64 {
    let [_, height, width, channels] = x.shape;
    let counted = x.heights.map_or(height, |heights| heights[map]) as isize;
    if !(0..counted).contains(&row) || !(0..width as isize).contains(&column) {
        return 0.0;
    }
    f64::from(x.values[((map * height + row as usize) * width + column as usize) * channels + channel])
}

/// The sum of products over the taps of an output's window; `weight` gives that of a tap and channel.
fn sum(
    x: &FeatureMaps<'_>,
    window: &Window,
    [map, row, column]: [usize; 3],
    channels: std::ops::Range<usize>,
    weight: impl Fn(usize, usize) -> f32,
) -> f64 {
    let place =
        |axis: usize, at: usize, tap: usize| (at * window.stride[axis] + tap) as isize - window.padding[axis] as isize;
    let mut sum = 0.0;
    for tap in 0..window.taps[0] * window.taps[1] {
        let at = [
            place(0, row, tap / window.taps[1]),
            place(1, column, tap % window.taps[1]),
        ];
        for channel in channels.clone() {
            sum += f64::from(weight(tap, channel)) * pixel(x, map, at, channel);
        }
    }
    sum
}

/// Rows of the output that count, by the formula of the original.
fn counted(window: &Window, height: usize) -> usize {
    (height + 2 * window.padding[0])
        .checked_sub(window.taps[0])
        .filter(|_| height > 0)
        .map_or(0, |rest| rest / window.stride[0] + 1)
}

/// Compares an output `[b, h, w, n]` with its definition; what lies beyond the rows that count must be zero.
fn check(
    x: &FeatureMaps<'_>,
    window: &Window,
    ([_, height, width, n], out): ([usize; 4], &[f32]),
    tolerance: f64,
    expected: impl Fn([usize; 3], usize) -> f64,
) {
    for (index, found) in out.iter().enumerate() {
        let (channel, pixel) = (index % n, index / n);
        let at = [pixel / width / height, pixel / width % height, pixel % width];
        let rows = counted(window, x.heights.map_or(x.shape[1], |heights| heights[at[0]]));
        let expected = if at[1] < rows { expected(at, channel) } else { 0.0 };
        let error = (f64::from(*found) - expected).abs();
        assert!(
            error <= tolerance * expected.abs().max(1.0),
            "pixel {at:?}, channel {channel} is {found}, not {expected}"
        );
    }
}

/// One random case of the ordinary convolution on one tier.
fn check_conv(isa: Isa, format: Format, precision: Precision, (shape, window, n): ([usize; 4], Window, usize)) {
    let mut random = Random::new(90);
    let [maps, height, _, channels] = shape;
    let k = window.taps[0] * window.taps[1] * channels;
    let weight = random.floats(n * k);
    let packed = PackedWeight::pack(&Pool::new(1), isa, format, [n, k], &bytes(&weight)).unwrap();
    let bias = random.floats(n);
    // What the padding of a shorter map holds must not matter.
    let heights: Vec<usize> = (0..maps).map(|map| height - map.min(height) / 2).collect();
    // Numbers of bfloat16, so that rounding them changes nothing.
    let short = |x: f32| half::bf16::from_f32(x).to_f32();
    let mut values: Vec<f32> = random.floats(shape.iter().product()).into_iter().map(short).collect();
    for (map, values) in values.chunks_mut(height * shape[2] * channels).enumerate() {
        values[heights[map] * shape[2] * channels..].fill(f32::NAN);
    }
    let values = Guarded::new(&values);
    let x = FeatureMaps::new(&values, shape).with_heights(&heights);
    let conv = Conv2d {
        weight: &packed,
        bias: Some(&bias),
        channels,
        window,
        activation: Activation::Relu,
    };
    let shape_out = conv.shape_out(shape);
    let residual = random.floats(shape_out.iter().product());
    let mut out = Guarded::new(&vec![f32::NAN; residual.len()]);
    let rows = Residual::Rows(Rows::new(&residual, n));
    conv.apply(&Pool::new(2), precision, x, rows, &mut out);
    let mut own = vec![0.0; k];
    let mut kept = vec![0.0; n * k];
    for (row, kept) in kept.chunks_mut(k).enumerate() {
        packed.read_row(row, &mut own);
        kept.copy_from_slice(&own);
    }
    // Up to 1,620 products of size one are added in f32, whose last digit is then worth 4e-6.
    check(&x, &window, (shape_out, &out), 4e-5, |at, channel| {
        let [map, row, column] = at;
        let weight = |tap: usize, c: usize| kept[channel * k + tap * channels + c];
        let place = (map * shape_out[1] + row) * shape_out[2] + column;
        let added = f64::from(bias[channel]) + f64::from(residual[place * n + channel]);
        (sum(&x, &window, at, 0..channels, weight) + added).max(0.0)
    });
}

#[test]
fn a_convolution_over_maps_is_the_sum_over_its_window() {
    for isa in Isa::available() {
        for case in CASES.into_iter().step_by(cut(1, 4)) {
            check_conv(isa, Format::F32, Precision::F32, case);
            check_conv(isa, Format::F32AsBf16, Precision::F32, case);
            check_conv(isa, Format::F32AsBf16, Precision::Bf16, case);
        }
    }
}

#[test]
fn by_hand_a_sum_of_neighbours() {
    // A kernel of ones over 1 2 / 3 4 adds up all that it meets.
    let pool = Pool::new(1);
    for isa in Isa::available() {
        let packed = PackedWeight::pack(&pool, isa, Format::F32, [1, 9], &bytes(&[1.0; 9])).unwrap();
        let conv = Conv2d {
            weight: &packed,
            bias: None,
            channels: 1,
            window: Window::three([1, 1]),
            activation: Activation::Identity,
        };
        let mut out = [0.0; 4];
        let x = FeatureMaps::new(&[1.0, 2.0, 3.0, 4.0], [1, 2, 2, 1]);
        conv.apply(&pool, Precision::F32, x, Residual::None, &mut out);
        assert_eq!(out, [10.0; 4]);
        conv.apply(&pool, Precision::F32, x.with_heights(&[1]), Residual::None, &mut out);
        assert_eq!(out, [3.0, 3.0, 0.0, 0.0], "one row counts");
        conv.apply(&pool, Precision::F32, x.with_heights(&[0]), Residual::None, &mut out);
        assert_eq!(out, [0.0; 4], "no row counts");
    }
}

#[test]
fn one_channel_gives_the_sums_of_the_product_bit_for_bit() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        for (window, n) in [(Window::three([2, 2]), 19), (Window::three([1, 1]), 70), (WIDE, 130)] {
            let mut random = Random::new(93);
            let (shape, k) = ([2, 9, 17, 1], window.taps[0] * window.taps[1]);
            let weight = PackedWeight::pack(&pool, isa, Format::F32, [n, k], &bytes(&random.floats(n * k))).unwrap();
            let (bias, values) = (random.floats(n), Guarded::new(&random.floats(2 * 9 * 17)));
            let conv = Conv2d {
                weight: &weight,
                bias: Some(&bias),
                channels: 1,
                window,
                activation: Activation::Silu,
            };
            let x = FeatureMaps::new(&values, shape).with_heights(&[9, 6]);
            let size = conv.shape_out(shape).iter().product();
            let (mut alone, mut product) = (Guarded::new(&vec![f32::NAN; size]), vec![f32::NAN; size]);
            conv.apply(&pool, Precision::F32, x, Residual::None, &mut alone);
            // A residual of zeros keeps the sums and takes the other way.
            let zeros = vec![0.0; size];
            let zeros = Residual::Rows(Rows::new(&zeros, n));
            conv.apply(&pool, Precision::F32, x, zeros, &mut product);
            assert!(same_bits(&alone, &product), "{}, {n} outputs", isa.tier());
        }
    }
}

#[test]
fn a_map_of_a_batch_is_what_it_is_alone_on_any_number_of_threads() {
    let channels = cut(16, 4);
    let (shape, window, n) = ([3, 11, 9, channels], Window::three([2, 2]), 70);
    let mut random = Random::new(91);
    let (weight, values) = (random.floats(n * 9 * channels), random.floats(shape.iter().product()));
    let heights = [11, 4, 7];
    for isa in Isa::available() {
        for precision in [Precision::F32, Precision::Bf16] {
            let weight = PackedWeight::pack(
                &Pool::new(1),
                isa,
                Format::F32AsBf16,
                [n, 9 * channels],
                &bytes(&weight),
            )
            .unwrap();
            let conv = Conv2d {
                weight: &weight,
                bias: None,
                channels,
                window,
                activation: Activation::Identity,
            };
            let run = |threads: usize, x: FeatureMaps<'_>| {
                let mut out = vec![f32::NAN; conv.shape_out(x.shape).iter().product()];
                conv.apply(&Pool::new(threads), precision, x, Residual::None, &mut out);
                out
            };
            let together = run(1, FeatureMaps::new(&values, shape).with_heights(&heights));
            for threads in [2, 3, 8].into_iter().take(cut(3, 1)) {
                let again = run(threads, FeatureMaps::new(&values, shape).with_heights(&heights));
                assert!(same_bits(&again, &together), "{}, {threads} threads", isa.tier());
            }
            for (map, height) in heights.into_iter().enumerate() {
                let own = &values[map * 11 * 9 * channels..][..height * 9 * channels];
                let alone = run(2, FeatureMaps::new(own, [1, height, 9, channels]));
                let found = &together[map * together.len() / 3..][..alone.len()];
                assert!(same_bits(found, &alone), "{}, map {map}", isa.tier());
            }
        }
    }
}

#[test]
fn a_depthwise_convolution_over_maps_keeps_channels_apart() {
    for isa in Isa::available() {
        for (shape, window, _) in CASES.into_iter().take(cut(8, 6)) {
            let mut random = Random::new(92);
            let [maps, height, _, channels] = shape;
            let taps = window.taps[0] * window.taps[1];
            let (weight, bias) = (random.floats(taps * channels), random.floats(channels));
            let heights: Vec<usize> = (0..maps).map(|map| height - map.min(height) / 2).collect();
            let values = Guarded::new(&random.floats(shape.iter().product()));
            let x = FeatureMaps::new(&values, shape).with_heights(&heights);
            let conv = DepthwiseConv2d {
                weight: &weight,
                bias: &bias,
                window,
                activation: Activation::Silu,
            };
            let shape_out = conv.shape_out(shape);
            let mut out = Guarded::new(&vec![f32::NAN; shape_out.iter().product()]);
            conv.apply(&Pool::new(3), isa, x, &mut out);
            check(&x, &window, (shape_out, &out), 1e-5, |at, channel| {
                let weight = |tap: usize, channel: usize| weight[tap * channels + channel];
                let sum = f64::from(bias[channel]) + sum(&x, &window, at, channel..channel + 1, weight);
                sum / (1.0 + (-sum).exp())
            });
        }
    }
}

#[test]
#[should_panic(expected = "one height for each of 1 maps")]
fn a_height_beyond_the_map_is_refused() {
    let conv = DepthwiseConv2d {
        weight: &[1.0; 9],
        bias: &[0.0],
        window: Window::three([1, 1]),
        activation: Activation::Identity,
    };
    let x = FeatureMaps::new(&[0.0; 4], [1, 2, 2, 1]);
    conv.apply(&Pool::new(1), Isa::best(), x.with_heights(&[3]), &mut [0.0; 4]);
}
