//! Convolutions on numbers that are none, on denormals, and on any number of threads.

use super::bytes;
use crate::speech::{Conv1d, Conv2d, DepthwiseConv1d, DepthwiseConv2d, FeatureMaps, Finish, Window, WinogradConv2d};
use crate::testing::{Guarded, Random, same_bits};
use crate::{Activation, Format, Isa, PackedWeight, Pool, Precision, Residual};

const THREADS: [usize; 4] = [1, 2, 3, 8];

fn weight(isa: Isa, format: Format, [n, k]: [usize; 2]) -> PackedWeight {
    let bytes = Random::new(84).weight(format, n, k);
    PackedWeight::pack(&Pool::new(1), isa, format, [n, k], &bytes).unwrap()
}

/// Outputs of `run` for `x`, and for `x` with a NaN at `place`: those of the pixels that `sees` names must be NaN, all others the
/// same. A pixel has `outputs` of them, of which channel `only` is reached, or every one.
fn check_spoiled(
    what: &str,
    x: &[f32],
    (place, outputs, only): (usize, usize, Option<usize>),
    run: impl Fn(&[f32]) -> Vec<f32>,
    sees: impl Fn(usize) -> bool,
) {
    let clean = run(x);
    let mut spoiled = x.to_vec();
    spoiled[place] = f32::NAN;
    let mut seen = 0;
    for (i, (found, clean)) in run(&spoiled).into_iter().zip(clean).enumerate() {
        let (pixel, channel) = (i / outputs, i % outputs);
        if sees(pixel) && only.is_none_or(|only| only == channel) {
            seen += 1;
            assert!(found.is_nan(), "{what}: pixel {pixel}, channel {channel} hides the NaN");
        } else {
            let same = same_bits(&[found], &[clean]);
            assert!(same, "{what}: pixel {pixel}, channel {channel} is {found}, not {clean}");
        }
    }
    assert!(seen > 0, "{what}: somebody looks at the NaN");
}

#[test]
fn a_frame_that_is_no_number_spoils_the_outputs_that_see_it_and_no_other() {
    let (frames, channels, n, at) = (21, 5, 19, 11);
    let x = Random::new(85).floats(frames * channels);
    let pool = Pool::new(2);
    for (isa, activation) in Isa::available().flat_map(|isa| [(isa, Activation::Relu), (isa, Activation::Gelu)]) {
        for (precision, format) in [
            (Precision::F32, Format::F32),
            (Precision::F32, Format::Bf16),
            (Precision::Bf16, Format::Bf16),
        ] {
            let packed = weight(isa, format, [n, 3 * channels]);
            let conv = Conv1d {
                weight: &packed,
                bias: None,
                channels,
                stride: 2,
                padding: 1,
                activation,
            };
            let run = |x: &[f32]| {
                let mut out = vec![0.0; conv.frames_out(frames) * n];
                conv.apply(&pool, precision, x, &mut out);
                out
            };
            let sees = |t: usize| (2 * t..2 * t + 3).contains(&(at + 1));
            let what = format!("{} {format:?} {precision:?}", isa.tier());
            check_spoiled(&what, &x, (at * channels + 2, n, None), run, sees);
        }
        let (taps, bias) = (Random::new(86).floats(9 * channels), [0.5; 5]);
        let conv = DepthwiseConv1d {
            weight: &taps,
            bias: &bias,
            padding: 4,
            activation,
        };
        let run = |x: &[f32]| {
            let mut out = vec![0.0; x.len()];
            conv.apply(&pool, isa, x, &mut out);
            out
        };
        let place = (at * channels + 2, channels, Some(2));
        check_spoiled(&format!("{}, depthwise", isa.tier()), &x, place, run, |t| {
            t.abs_diff(at) <= 4
        });
    }
}

#[test]
fn a_pixel_that_is_no_number_spoils_the_outputs_that_see_it_and_no_other() {
    let (height, width, n) = (7, 9, 19);
    let window = Window::three([2, 1]);
    let (row, column) = (3, 8);
    // Outputs of two maps, of which the second holds the NaN.
    let sees = |pixel: usize| {
        let (map, y, x) = (pixel / (4 * width), pixel / width % 4, pixel % width);
        map == 1 && (2 * y..2 * y + 3).contains(&(row + 1)) && (x..x + 3).contains(&(column + 1))
    };
    for isa in Isa::available() {
        for (channels, activation) in [(1, Activation::Relu), (1, Activation::Silu), (6, Activation::Relu)] {
            let shape = [2, height, width, channels];
            let x = Random::new(87).floats(shape.iter().product());
            let at = ((height + row) * width + column) * channels;
            let packed = weight(isa, Format::F32, [n, 9 * channels]);
            let conv = Conv2d {
                weight: &packed,
                bias: None,
                channels,
                window,
                activation,
            };
            let run = |x: &[f32]| {
                let mut out = vec![0.0; conv.shape_out(shape).iter().product()];
                let maps = FeatureMaps::new(x, shape);
                conv.apply(&Pool::new(2), Precision::F32, maps, Residual::None, &mut out);
                out
            };
            let what = format!("{}, {channels} channels, {activation:?}", isa.tier());
            check_spoiled(&what, &x, (at, n, None), run, sees);
            let (taps, bias) = (Random::new(88).floats(9 * channels), vec![0.5; channels]);
            let conv = DepthwiseConv2d {
                weight: &taps,
                bias: &bias,
                window,
                activation,
            };
            let run = |x: &[f32]| {
                let mut out = vec![0.0; conv.shape_out(shape).iter().product()];
                conv.apply(&Pool::new(2), isa, FeatureMaps::new(x, shape), &mut out);
                out
            };
            check_spoiled(&format!("{what}, depthwise"), &x, (at, channels, Some(0)), run, sees);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "the mode of processors is not interpreted")]
fn denormals_count_as_zero() {
    let (pool, activation, shape) = (Pool::new(1), Activation::Identity, [1, 5, 7, 3]);
    let (tiny, huge) = (vec![1e-38; 105], vec![1e30; 19 * 27]);
    let maps = FeatureMaps::new(&tiny, shape);
    for isa in Isa::available() {
        let pack =
            |[n, k]: [usize; 2]| PackedWeight::pack(&pool, isa, Format::F32, [n, k], &bytes(&huge[..n * k])).unwrap();
        let check = |what: &str, run: &dyn Fn(&mut [f32]), count: usize| {
            let mut out = vec![f32::NAN; count];
            run(&mut out);
            assert_eq!(out, vec![0.0; count], "{}, {what}", isa.tier());
        };
        let (several, single, zeros) = (pack([19, 27]), pack([19, 9]), [0.0; 19]);
        let conv2d = |weight, channels| Conv2d {
            weight,
            bias: None,
            channels,
            window: Window::three([1, 1]),
            activation,
        };
        let run = |out: &mut [f32]| {
            conv2d(&several, 3).apply(&pool, Precision::F32, maps, Residual::None, out);
        };
        check("maps", &run, 35 * 19);
        let run = |out: &mut [f32]| {
            let maps = FeatureMaps::new(&tiny, [1, 5, 21, 1]);
            conv2d(&single, 1).apply(&pool, Precision::F32, maps, Residual::None, out);
        };
        check("one channel", &run, 105 * 19);
        let conv = WinogradConv2d::pack(&pool, isa, 3, &huge, &zeros).unwrap();
        check(
            "Winograd",
            &|out| conv.apply(&pool, maps, Finish::default(), out),
            35 * 19,
        );
        let conv = DepthwiseConv2d {
            weight: &huge[..27],
            bias: &[0.0; 3],
            window: Window::three([1, 1]),
            activation,
        };
        check("depthwise maps", &|out| conv.apply(&pool, isa, maps, out), 105);
        let conv = DepthwiseConv1d {
            weight: &huge[..27],
            bias: &[0.0; 3],
            padding: 4,
            activation,
        };
        check("depthwise", &|out| conv.apply(&pool, isa, &tiny, out), 105);
    }
}

#[test]
fn convolutions_are_the_same_on_any_number_of_threads() {
    let (frames, channels, n) = (130, 6, 40);
    let x = Guarded::new(&Random::new(89).floats(frames * channels));
    for isa in Isa::available() {
        for format in [Format::F32, Format::Bf16] {
            let packed = weight(isa, format, [n, 3 * channels]);
            let bias = Guarded::new(&Random::new(90).floats(n));
            let conv = Conv1d {
                weight: &packed,
                bias: Some(&bias),
                channels,
                stride: 1,
                padding: 1,
                activation: Activation::Gelu,
            };
            assert_same(&format!("{} {format:?}", isa.tier()), |pool| {
                let mut out = Guarded::new(&vec![f32::NAN; frames * n]);
                conv.apply(pool, Precision::Bf16, &x, &mut out);
                out.to_vec()
            });
        }
        let (taps, bias) = (Random::new(91).floats(9 * channels), Random::new(92).floats(channels));
        let (taps, bias) = (Guarded::new(&taps), Guarded::new(&bias));
        let conv = DepthwiseConv2d {
            weight: &taps,
            bias: &bias,
            window: Window::three([2, 2]),
            activation: Activation::Silu,
        };
        assert_same(&format!("{}, depthwise", isa.tier()), |pool| {
            let maps = FeatureMaps::new(&x, [2, 13, 5, channels]);
            let mut out = Guarded::new(&vec![f32::NAN; conv.shape_out(maps.shape).iter().product()]);
            conv.apply(pool, isa, maps, &mut out);
            out.to_vec()
        });
    }
}

fn assert_same(what: &str, run: impl Fn(&Pool) -> Vec<f32>) {
    let [alone, others @ ..] = THREADS.map(|threads| run(&Pool::new(threads)));
    for other in others {
        assert!(same_bits(&other, &alone), "{what}: several threads");
    }
}
