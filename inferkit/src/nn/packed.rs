//! Weights packed for the processor's kernels, and products with them.
//!
//! A packed copy replaces the stored bytes: it takes as many bits a number, is multiplied without widening, and gives single
//! rows back for an embedding. Layers that share their input are multiplied together, so that it is prepared once.
//!
//! **Invariant:** a row of a product does not depend on the other rows of its batch.

use std::sync::Arc;

use candle_core::Device;
use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::Activation;
use inferkit_kernels::Epilogue;
use inferkit_kernels::Format;
use inferkit_kernels::Input;
use inferkit_kernels::PackError;
use inferkit_kernels::PackedWeight;
use inferkit_kernels::Product;
use inferkit_kernels::Residual;
use inferkit_kernels::Rows;
use inferkit_kernels::RowsMut;
use inferkit_kernels::gemm;
use inferkit_kernels::gemm_gated;
use inferkit_kernels::ops::RmsNorm;

use super::kernels::Kernels;
use super::kernels::make_rows;
use super::kernels::with_rows;
use super::spare;

/// A packed matrix `[n, k]` and what multiplies it. Clones share the numbers.
#[derive(Debug, Clone)]
pub(crate) struct PackedMatrix {
    weight: Arc<PackedWeight>,
    kernels: Kernels,
}

/// `a · bᵀ` of rows neither of which is a weight: `[m, k]` and `[n, k]` to `[m, n]`, in f32.
pub(crate) fn products(a: &Tensor, b: &Tensor, kernels: Option<&Kernels>) -> Result<Tensor> {
    let Some(kernels) = kernels else {
        return a.matmul(&b.t()?);
    };
    let bytes: Vec<u8> = with_rows(b, |rows| {
        Ok(rows.values().iter().flat_map(|number| number.to_le_bytes()).collect())
    })?;
    let matrix = PackedMatrix::pack(kernels, Format::F32, [b.dim(0)?, b.dim(1)?], &bytes);
    PackedLinear::new(matrix.map_err(candle_core::Error::wrap)?, None)?.forward(a, None)
}

/// A linear layer of a packed matrix.
#[derive(Debug, Clone)]
pub(super) struct PackedLinear {
    matrix: PackedMatrix,
    /// `[n]`
    bias: Option<Arc<[f32]>>,
}

/// What two matrices have in common when kernels take them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackedShape {
    /// `[n, k]`
    pub(super) size: [usize; 2],
    /// Whether it holds blocks rather than plain numbers.
    pub(super) quantized: bool,
}

impl PackedMatrix {
    /// Packs a matrix of `shape` from its bytes in a file.
    pub(super) fn pack(
        kernels: &Kernels,
        format: Format,
        shape: [usize; 2],
        bytes: &[u8],
    ) -> std::result::Result<Self, PackError> {
        let weight = PackedWeight::pack(kernels.pool(), kernels.isa(), format, shape, bytes)?;
        Ok(Self {
            weight: Arc::new(weight),
            kernels: kernels.clone(),
        })
    }

    /// The rows `ids`, widened: `[ids, k]`; an id beyond the last row is an error.
    pub(super) fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        let (n, k) = (self.weight.n(), self.weight.k());
        if let Some(id) = ids.iter().find(|id| **id as usize >= n) {
            candle_core::bail!("row {id} of a table that has {n}");
        }
        let mut floats = vec![0.0; ids.len() * k];
        for (id, row) in ids.iter().zip(floats.chunks_exact_mut(k)) {
            self.weight.read_row(*id as usize, row);
        }
        Tensor::from_vec(floats, (ids.len(), k), &Device::Cpu)
    }

    /// Lends the packed numbers and what multiplies them.
    pub(super) fn with_kernels<T>(&self, work: impl FnOnce(&PackedWeight, &Kernels) -> T) -> T {
        work(&self.weight, &self.kernels)
    }

    fn shape(&self) -> PackedShape {
        PackedShape {
            size: [self.weight.n(), self.weight.k()],
            quantized: self.weight.format().block().0 > 1,
        }
    }
}

impl PackedLinear {
    /// A layer with a `bias` of `[n]`.
    pub(super) fn new(matrix: PackedMatrix, bias: Option<&Tensor>) -> Result<Self> {
        let bias = bias.map(Tensor::to_vec1).transpose()?.map(Arc::from);
        Ok(Self { matrix, bias })
    }

    /// `x`, `[t, k]`, to `[t, n]`; with a `stream` of that shape, the sum of both.
    pub(super) fn forward(&self, x: &Tensor, stream: Option<&Tensor>) -> Result<Tensor> {
        match stream {
            None => with_rows(x, |rows| {
                make_rows(rows.rows(), self.matrix.weight.n(), |out| {
                    self.multiply(rows, self.epilogue(), out);
                })
            }),
            Some(stream) => with_rows(x, |rows| {
                with_rows(stream, |stream| {
                    let epilogue = self.epilogue().with_residual(Residual::Rows(stream));
                    make_rows(rows.rows(), self.matrix.weight.n(), |out| {
                        self.multiply(rows, epilogue, out);
                    })
                })
            }),
        }
    }

    /// `x`, `[t, k]`, to `[t, n]`, with `activation` applied.
    pub(super) fn forward_activated(&self, x: &Tensor, activation: super::activation::Activation) -> Result<Tensor> {
        let epilogue = self.epilogue().with_activation(activation.of_kernels());
        with_rows(x, |rows| {
            make_rows(rows.rows(), self.matrix.weight.n(), |out| {
                self.multiply(rows, epilogue, out);
            })
        })
    }

    /// `x`, `[t, k]`, to `stream + scale · y`, `[t, n]`.
    pub(super) fn forward_scaled(&self, x: &Tensor, stream: &Tensor, scale: f32) -> Result<Tensor> {
        with_rows(x, |rows| {
            with_rows(stream, |stream| {
                let epilogue = self.epilogue().with_scale(scale).with_residual(Residual::Rows(stream));
                make_rows(rows.rows(), self.matrix.weight.n(), |out| {
                    self.multiply(rows, epilogue, out);
                })
            })
        })
    }

    /// The layers' answers to the same `x`, or to what `norm` makes of it, in one go.
    pub(super) fn forward_all(layers: &[&Self], x: &Tensor, norm: Option<RmsNorm<'_>>) -> Result<Vec<Tensor>> {
        let Some(first) = layers.first() else {
            return Ok(Vec::new());
        };
        with_rows(x, |rows| {
            let room = |layer: &&Self| spare::floats(rows.rows() * layer.matrix.weight.n());
            let mut answers: Vec<Vec<f32>> = layers.iter().map(room).collect();
            let product = |(layer, answer)| product_of(layer, answer);
            let mut products: Vec<_> = layers
                .iter()
                .copied()
                .zip(answers.iter_mut().map(Vec::as_mut_slice))
                .map(product)
                .collect();
            let kernels = &first.matrix.kernels;
            gemm(kernels.pool(), input(rows, norm), kernels.precision(), &mut products);
            let tensor = |(layer, answer): (&&Self, Vec<f32>)| {
                let shape = (rows.rows(), layer.matrix.weight.n());
                Tensor::from_vec(answer, shape, &Device::Cpu)
            };
            layers.iter().zip(answers).map(tensor).collect()
        })
    }

    /// `silu(gate(x)) · up(x)`, of `x` or of what `norm` makes of it; nothing for two layers that cannot be multiplied together.
    pub(super) fn gated(gate: &Self, up: &Self, x: &Tensor, norm: Option<RmsNorm<'_>>) -> Option<Result<Tensor>> {
        let pair = [&*gate.matrix.weight, &*up.matrix.weight];
        if gate.matrix.shape() != up.matrix.shape() || gate.bias.is_some() || up.bias.is_some() {
            return None;
        }
        Some(with_rows(x, |rows| {
            make_rows(rows.rows(), pair[0].n(), |out| {
                let kernels = &gate.matrix.kernels;
                let (pool, precision) = (kernels.pool(), kernels.precision());
                gemm_gated(pool, input(rows, norm), precision, pair, Activation::Silu, out);
            })
        }))
    }

    /// What multiplies it.
    pub(super) const fn kernels(&self) -> &Kernels {
        &self.matrix.kernels
    }

    /// The matrix's shape, if there is no bias and no other layer shares the numbers.
    pub(super) fn sole_shape(&self) -> Option<PackedShape> {
        let sole = self.bias.is_none() && Arc::strong_count(&self.matrix.weight) == 1;
        sole.then(|| self.matrix.shape())
    }

    /// The matrix of a layer that has a [`sole_shape`](Self::sole_shape).
    pub(super) fn into_sole_weight(self) -> Option<PackedWeight> {
        Arc::into_inner(self.matrix.weight)
    }

    fn epilogue(&self) -> Epilogue<'_> {
        let plain = Epilogue::default();
        self.bias.as_ref().map_or(plain, |bias| plain.with_bias(bias))
    }

    fn multiply(&self, rows: Rows<'_>, epilogue: Epilogue<'_>, out: RowsMut<'_>) {
        let product = Product::new(&self.matrix.weight, out).with_epilogue(epilogue);
        let kernels = &self.matrix.kernels;
        gemm(kernels.pool(), rows, kernels.precision(), &mut [product]);
    }
}

fn input<'a>(rows: Rows<'a>, norm: Option<RmsNorm<'a>>) -> Input<'a> {
    norm.map_or_else(|| rows.into(), |norm| Input::normalised(rows, norm))
}

fn product_of<'a>(layer: &'a PackedLinear, answer: &'a mut [f32]) -> Product<'a> {
    let out = RowsMut::new(answer, layer.matrix.weight.n());
    Product::new(&layer.matrix.weight, out).with_epilogue(layer.epilogue())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;

    fn numbers(count: u16) -> Vec<f32> {
        (0..count).map(|i| f32::from(i * 37 % 101) / 50.0 - 1.0).collect()
    }

    /// A matrix `[n, k]` as the kernels keep it, and as a tensor.
    fn matrix(kernels: &Kernels, size: [usize; 2]) -> (PackedMatrix, Tensor) {
        let numbers = numbers(u16::try_from(size[0] * size[1]).unwrap());
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let packed = PackedMatrix::pack(kernels, Format::F32, size, &bytes).unwrap();
        (
            packed,
            Tensor::from_vec(numbers, (size[0], size[1]), &Device::Cpu).unwrap(),
        )
    }

    fn close(found: &Tensor, expected: &Tensor) -> bool {
        let difference = (found - expected).unwrap().abs().unwrap().max_all().unwrap();
        difference.to_scalar::<f32>().unwrap() < 1e-5
    }

    #[test]
    fn a_product_adds_its_bias_and_the_stream() {
        let kernels = Kernels::open().unwrap();
        let (packed, plain) = matrix(&kernels, [5, 7]);
        let bias = Tensor::new(&[1_f32, 2.0, 3.0, 4.0, 5.0], &Device::Cpu).unwrap();
        let x = Tensor::from_vec(numbers(21), (3, 7), &Device::Cpu).unwrap();
        let stream = Tensor::from_vec(numbers(15), (3, 5), &Device::Cpu).unwrap();
        let layer = PackedLinear::new(packed, Some(&bias)).unwrap();
        let expected = x.matmul(&plain.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
        assert!(close(&layer.forward(&x, None).unwrap(), &expected));
        let onto = layer.forward(&x, Some(&stream)).unwrap();
        assert!(close(&onto, &(&expected + &stream).unwrap()));
    }

    #[test]
    fn layers_multiplied_together_give_what_each_gives_alone() {
        let kernels = Kernels::open().unwrap();
        let layer = |size| PackedLinear::new(matrix(&kernels, size).0, None).unwrap();
        let (first, second, other) = (layer([6, 4]), layer([6, 4]), layer([9, 4]));
        let x = Tensor::from_vec(numbers(12), (3, 4), &Device::Cpu).unwrap();
        let alone = |layer: &PackedLinear| layer.forward(&x, None).unwrap();
        let together = PackedLinear::forward_all(&[&first, &other], &x, None).unwrap();
        assert!(close(&together[0], &alone(&first)) && close(&together[1], &alone(&other)));
        let gated = PackedLinear::gated(&first, &second, &x, None).unwrap().unwrap();
        let expected = (alone(&first).silu().unwrap() * alone(&second)).unwrap();
        assert!(close(&gated, &expected));
        assert!(
            PackedLinear::gated(&first, &other, &x, None).is_none(),
            "of different sizes"
        );
    }

    #[test]
    fn rows_that_are_no_weights_are_multiplied_on_either_path() {
        let [a, b] =
            [3, 5].map(|rows| Tensor::from_vec(numbers(rows * 7), (usize::from(rows), 7), &Device::Cpu).unwrap());
        let expected = a.matmul(&b.t().unwrap()).unwrap();
        for kernels in [None, Some(Kernels::open().unwrap())] {
            assert!(close(&products(&a, &b, kernels.as_ref()).unwrap(), &expected));
        }
    }

    #[test]
    fn single_rows_come_back_and_a_row_that_is_not_there_is_an_error() {
        let (packed, plain) = matrix(&Kernels::open().unwrap(), [5, 7]);
        let ids = Tensor::new(&[4_u32, 0], &Device::Cpu).unwrap();
        assert!(close(
            &packed.rows(&[4, 0]).unwrap(),
            &plain.index_select(&ids, 0).unwrap()
        ));
        assert_eq!(packed.rows(&[]).unwrap().dims(), [0, 7]);
        assert!(packed.rows(&[5]).is_err());
    }

    #[test]
    fn rows_of_another_type_are_multiplied_in_f32() {
        let (packed, _) = matrix(&Kernels::open().unwrap(), [2, 4]);
        let x = Tensor::ones((1, 4), DType::BF16, &Device::Cpu).unwrap();
        let y = PackedLinear::new(packed, None).unwrap().forward(&x, None).unwrap();
        assert_eq!(y.dtype(), DType::F32);
    }
}
