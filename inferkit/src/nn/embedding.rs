//! Token ids to vectors.

use candle_core::DType;
use candle_core::Result;
use candle_core::Tensor;

use super::weight::Weight;

/// A table of vectors, one a token; only the rows that are asked for are widened.
#[derive(Debug, Clone)]
pub(crate) struct Embedding {
    table: Weight,
    dtype: DType,
}

impl Embedding {
    /// A table `[vocabulary, d]` whose rows come out as `dtype`.
    pub(crate) const fn new(table: Weight, dtype: DType) -> Self {
        Self { table, dtype }
    }

    /// `[t]` ids to `[t, d]`; an id beyond the table is an error.
    pub(crate) fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let rows = match &self.table {
            Weight::Packed(table) => table.rows(&ids.to_vec1()?)?,
            Weight::Plain(table) => table.index_select(ids, 0)?,
            Weight::Blocks(table) => table.embedding(ids)?,
        };
        rows.to_dtype(self.dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use candle_core::quantized::GgmlDType;
    use candle_core::quantized::QTensor;

    #[test]
    fn rows_come_in_the_order_of_the_ids_from_plain_and_quantized_tables() {
        let table = Tensor::arange(0_f32, 64.0, &Device::Cpu)
            .unwrap()
            .reshape((2, 32))
            .unwrap();
        let blocks = QTensor::quantize(&table, GgmlDType::Q8_0).unwrap();
        let ids = Tensor::new(&[1_u32, 0, 1], &Device::Cpu).unwrap();
        for weight in [Weight::Plain(table.clone()), Weight::Blocks(blocks.into())] {
            let rows = Embedding::new(weight, DType::F32)
                .forward(&ids)
                .unwrap()
                .to_vec2::<f32>()
                .unwrap();
            assert!(
                (rows[0][31] - 63.0).abs() < 0.3 && (rows[1][31] - 31.0).abs() < 0.3,
                "{rows:?}"
            );
        }
    }

    #[test]
    fn an_id_beyond_the_table_is_an_error() {
        let table = Weight::Plain(Tensor::zeros((2, 4), DType::F32, &Device::Cpu).unwrap());
        let ids = Tensor::new(&[2_u32], &Device::Cpu).unwrap();
        assert!(Embedding::new(table, DType::F32).forward(&ids).is_err());
    }
}
