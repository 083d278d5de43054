//! Images on the processor, in buffers that layers use again: fresh pages of zeros cost more than a copy does.

/// Images `[b, h, w, c]`. The buffer only ever grows; dropping it gives the memory back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Images {
    shape: [usize; 4],
    values: Vec<f32>,
}

impl Images {
    /// Images, their height and width, channels of a pixel.
    pub(crate) const fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// Row-major, channels innermost.
    pub(crate) fn values(&self) -> &[f32] {
        let count: usize = self.shape.iter().product();
        &self.values[..count]
    }

    /// Gives them another shape, and the values to be written: what they hold is left over from earlier use.
    pub(crate) fn shaped(&mut self, shape: [usize; 4]) -> &mut [f32] {
        self.shape = shape;
        let count: usize = shape.iter().product();
        if self.values.len() < count {
            self.values.resize(count, 0.0);
        }
        &mut self.values[..count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_for_images_that_fit() {
        let mut images = Images::default();
        assert_eq!(images.values(), [0.0; 0]);
        images.shaped([1, 2, 3, 4]).fill(1.0);
        let place = images.values().as_ptr();
        images.shaped([1, 1, 2, 2]).fill(2.0);
        assert_eq!((images.shape(), images.values()), ([1, 1, 2, 2], &[2.0; 4][..]));
        assert_eq!(images.shaped([1, 2, 3, 4]).as_ptr(), place);
    }
}
