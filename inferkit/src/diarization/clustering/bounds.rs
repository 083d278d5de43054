//! How many speakers there may be.

use std::num::NonZeroUsize;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;

/// Least and greatest number of speakers; equal ones force the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpeakerBounds {
    least: usize,
    greatest: Option<usize>,
}

impl SpeakerBounds {
    /// Bounds as a request gives them; without a least number there is one speaker at least.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when the least number is above the greatest.
    pub(crate) fn new(least: Option<NonZeroUsize>, greatest: Option<NonZeroUsize>) -> Result<Self> {
        let bounds = Self {
            least: least.map_or(1, NonZeroUsize::get),
            greatest: greatest.map(NonZeroUsize::get),
        };
        match bounds.greatest {
            Some(greatest) if greatest < bounds.least => Err(Error::invalid(
                RequestFault::InvalidValue,
                "min_speakers",
                format!(
                    "min_speakers is {} and max_speakers {greatest}; the first may not exceed the second",
                    bounds.least
                ),
            )),
            _ => Ok(bounds),
        }
    }

    /// The greatest number, if there is one.
    pub(crate) const fn greatest(&self) -> Option<usize> {
        self.greatest
    }

    /// The allowed number next to `speakers`.
    pub(super) fn nearest(&self, speakers: usize) -> usize {
        speakers.max(self.least).min(self.greatest.unwrap_or(usize::MAX))
    }

    /// The number, where it is forced.
    pub(super) fn forced(&self) -> Option<usize> {
        self.greatest.filter(|greatest| *greatest == self.least)
    }

    /// The same bounds for a recording with `vectors` voice samples, each at least 1.
    pub(super) fn within(&self, vectors: usize) -> Self {
        Self {
            least: self.least.min(vectors).max(1),
            greatest: Some(self.greatest.unwrap_or(vectors).min(vectors).max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(least: usize, greatest: usize) -> Result<SpeakerBounds> {
        SpeakerBounds::new(NonZeroUsize::new(least), NonZeroUsize::new(greatest))
    }

    #[test]
    fn a_least_number_above_the_greatest_is_refused() {
        let error = bounds(3, 2).unwrap_err();
        assert_eq!((error.code(), error.param()), ("invalid_value", Some("min_speakers")));
        assert!(bounds(2, 2).is_ok() && bounds(3, 0).is_ok() && bounds(0, 1).is_ok());
    }

    #[test]
    fn the_nearest_allowed_number_is_taken() {
        let bounds = bounds(2, 4).unwrap();
        assert_eq!([1, 3, 9].map(|speakers| bounds.nearest(speakers)), [2, 3, 4]);
        assert_eq!(bounds.forced(), None);
        assert_eq!(bounds.within(1).forced(), Some(1));
    }
}
