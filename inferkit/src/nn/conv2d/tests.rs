//! Kernels beside the tensor library.

use super::*;
use crate::nn::DevicePreference;

fn numbers(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    Tensor::from_vec(values, shape, &candle_core::Device::Cpu).unwrap()
}

fn numbers_of(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn images(x: &Tensor) -> Images {
    let (b, h, w, c) = x.dims4().unwrap();
    let mut images = Images::default();
    images.shaped([b, h, w, c]).copy_from_slice(&numbers_of(x));
    images
}

/// The same layer into a buffer that holds something else.
fn by_buffers(conv: &Conv2d, x: &Tensor, residual: Option<&Tensor>, activation: Activation) -> Vec<f32> {
    let residual = residual.map(images);
    let mut out = Images::default();
    out.shaped([1, 1, 1, 1_000]).fill(f32::NAN);
    conv.forward_images(&images(x), residual.as_ref(), activation, &mut out)
        .unwrap();
    out.values().to_vec()
}

fn check(weight: &[usize], image: &[usize], moves: Conv2dMoves) {
    let (weight, x) = (numbers(weight), numbers(image));
    let bias: Vec<f32> = (0..weight.dim(0).unwrap()).map(|i| i as f32 / 8.0).collect();
    let processor = Device::open(DevicePreference::Cpu).unwrap();
    let by_kernel = Conv2d::new(&processor, &weight, Some(&bias), moves).unwrap();
    let by_tensors = Conv2d::new(&Device::without_kernels(), &weight, Some(&bias), moves).unwrap();
    let plain = by_kernel.forward(&x, None, Activation::Identity).unwrap();
    let residual = numbers(plain.dims());
    for (residual, activation) in [
        (None, Activation::Identity),
        (None, Activation::LeakyRelu),
        (Some(&residual).filter(|_| moves.dilation == [1, 1]), Activation::Relu),
    ] {
        let found = by_kernel.forward(&x, residual, activation).unwrap();
        let expected = by_tensors.forward(&x, residual, activation).unwrap();
        if moves.dilation == [1, 1] {
            assert_eq!(by_buffers(&by_kernel, &x, residual, activation), numbers_of(&found));
        }
        let difference = (found - expected).unwrap().abs().unwrap().max_all().unwrap();
        assert!(
            difference.to_scalar::<f32>().unwrap() < 5e-5,
            "{weight:?} {moves:?}: {difference:?}"
        );
    }
}

#[test]
fn kernels_and_tensors_convolve_alike() {
    let padded = Conv2dMoves {
        padding: [1, 1],
        ..Conv2dMoves::default()
    };
    check(&[5, 3, 3, 3], &[2, 4, 6, 3], padded);
    check(
        &[5, 3, 3, 3],
        &[2, 5, 6, 3],
        Conv2dMoves {
            stride: [2, 2],
            ..padded
        },
    );
    check(
        &[5, 3, 3, 3],
        &[1, 5, 6, 3],
        Conv2dMoves {
            stride: [2, 1],
            ..padded
        },
    );
    check(
        &[4, 2, 1, 1],
        &[1, 5, 6, 2],
        Conv2dMoves {
            stride: [2, 1],
            ..Conv2dMoves::default()
        },
    );
    check(&[6, 4], &[2, 1, 9, 4], Conv2dMoves::default());
    check(&[17, 16, 3, 3], &[1, 6, 5, 16], padded);
    let dilated = Conv2dMoves {
        padding: [0, 2],
        dilation: [1, 2],
        ..Conv2dMoves::default()
    };
    check(&[6, 4, 3], &[2, 1, 9, 4], dilated);
}

#[test]
fn sequences_are_images_of_one_line() {
    let processor = Device::open(DevicePreference::Cpu).unwrap();
    let weight = Tensor::new(&[[[1_f32, 2.0, 3.0]]], &candle_core::Device::Cpu).unwrap();
    let conv = Conv2d::new(&processor, &weight, Some(&[0.5]), Conv2dMoves::default()).unwrap();
    let x = Tensor::new(&[[[1_f32], [0.0], [0.0], [-1.0]]], &candle_core::Device::Cpu).unwrap();
    let y = conv.forward_sequences(&x, Activation::Identity).unwrap();
    assert_eq!(y.to_vec3::<f32>().unwrap(), [[[1.5], [-2.5]]]);
}

#[test]
fn an_image_of_other_channels_is_an_error() {
    let processor = Device::open(DevicePreference::Cpu).unwrap();
    let conv = Conv2d::new(&processor, &numbers(&[2, 3, 1, 1]), None, Conv2dMoves::default()).unwrap();
    let image = numbers(&[1, 2, 2, 2]);
    assert!(conv.forward(&image, None, Activation::Relu).is_err());
    let mut out = Images::default();
    assert!(
        conv.forward_images(&images(&image), None, Activation::Relu, &mut out)
            .is_err()
    );
}

#[test]
fn layers_without_kernels_do_not_take_buffers() {
    let conv = Conv2d::new(
        &Device::without_kernels(),
        &numbers(&[2, 3, 1, 1]),
        None,
        Conv2dMoves::default(),
    )
    .unwrap();
    let mut out = Images::default();
    let image = images(&numbers(&[1, 2, 2, 3]));
    assert!(!conv.has_kernels() && conv.forward_images(&image, None, Activation::Relu, &mut out).is_err());
}
