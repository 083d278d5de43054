//! Batches of feature maps, channels last.

use crate::aligned::SharedMut;

/// What a two-dimensional convolution reads: `[b, h, w, c]`, one pixel's channels side by side.
///
/// Which axis is time is up to the model. A batch of unequal lengths has time as its height, and `heights` says how many rows
/// of each map count: the others are read as zeros and written as zeros.
#[derive(Debug, Clone, Copy)]
pub struct FeatureMaps<'a> {
    /// `[b, h, w, c]`.
    pub values: &'a [f32],
    /// Maps, rows of each, pixels of a row, channels of a pixel.
    pub shape: [usize; 4],
    /// `[b]`, none above h; all rows count when `None`.
    pub heights: Option<&'a [usize]>,
}

impl<'a> FeatureMaps<'a> {
    /// Maps of which every row counts.
    pub fn new(values: &'a [f32], shape: [usize; 4]) -> Self {
        Self {
            values,
            shape,
            heights: None,
        }
    }

    /// Says how many rows of each map count.
    #[must_use]
    pub fn with_heights(self, heights: &'a [usize]) -> Self {
        Self {
            heights: Some(heights),
            ..self
        }
    }

    /// Rows that count of map `index`.
    pub(super) fn height(&self, index: usize) -> usize {
        self.heights.map_or(self.shape[1], |heights| heights[index])
    }

    /// # Panics
    /// When values or heights do not fit the shape.
    pub(super) fn check(&self, channels: usize) {
        let [maps, height, ..] = self.shape;
        let size = self
            .shape
            .iter()
            .try_fold(1_usize, |size, &side| size.checked_mul(side));
        assert_eq!(
            size,
            Some(self.values.len()),
            "values of maps of shape {:?}",
            self.shape
        );
        assert_eq!(self.shape[3], channels, "channels of the maps are those of the kernel");
        if let Some(heights) = self.heights {
            assert!(
                heights.len() == maps && heights.iter().all(|&rows| rows <= height),
                "one height for each of {maps} maps, none above {height}"
            );
        }
    }
}

/// How a kernel moves over a map. Pairs are (height, width).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Pixels that it covers.
    pub taps: [usize; 2],
    /// Pixels from one output to the next.
    pub stride: [usize; 2],
    /// Zeros before the first and after the last pixel.
    pub padding: [usize; 2],
}

impl Window {
    /// 3 x 3 taps with one zero around the map.
    pub const fn three(stride: [usize; 2]) -> Self {
        Self {
            taps: [3, 3],
            stride,
            padding: [1, 1],
        }
    }

    /// A single pixel.
    pub const fn one(stride: [usize; 2]) -> Self {
        Self {
            taps: [1, 1],
            stride,
            padding: [0, 0],
        }
    }

    /// What a side of `size` pixels becomes along `axis` (0 height, 1 width): `(size + 2 padding - taps) / stride + 1`.
    ///
    /// The same holds for the rows that count.
    ///
    /// # Panics
    /// When the stride is zero.
    pub fn side_out(&self, axis: usize, size: usize) -> usize {
        assert!(
            self.stride[axis] > 0 && self.taps[axis] > 0,
            "a stride and taps above zero: {self:?}"
        );
        // Nothing comes of nothing, whatever the padding.
        (size + 2 * self.padding[axis])
            .checked_sub(self.taps[axis])
            .filter(|_| size > 0)
            .map_or(0, |rest| rest / self.stride[axis] + 1)
    }

    /// Shape of what maps of `shape` become, with `channels` channels.
    pub fn shape_out(&self, shape: [usize; 4], channels: usize) -> [usize; 4] {
        [
            shape[0],
            self.side_out(0, shape[1]),
            self.side_out(1, shape[2]),
            channels,
        ]
    }
}

/// Zeros in the rows of the output that do not count.
pub(super) fn clear_rest(x: &FeatureMaps<'_>, window: &Window, shape_out: [usize; 4], out: SharedMut<f32>) {
    let [maps, height, width, channels] = shape_out;
    for index in 0..maps {
        let counted = window.side_out(0, x.height(index)).min(height);
        let rest = (height - counted) * width * channels;
        // SAFETY: the output has this shape and nobody writes to it meanwhile; the rows lie within map `index`.
        unsafe {
            let start = out.get().add((index * height + counted) * width * channels);
            std::slice::from_raw_parts_mut(start, rest).fill(0.0);
        }
    }
}
