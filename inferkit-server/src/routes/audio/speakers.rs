//! How many speakers a recording may have, and in which order they are named.

use std::num::NonZeroUsize;

use inferkit::task::DiarizationRequest;
use inferkit::task::DiarizationResult;
use inferkit::task::Samples;

use crate::body::Fields;
use crate::error::ApiError;

/// Most speakers that can be asked for.
const MOST: usize = 20;

/// The speakers' labels in order of appearance; one without a turn comes last.
pub(crate) fn by_appearance(result: &DiarizationResult) -> Vec<String> {
    let mut speakers = result.speakers.clone();
    let first_turn = |speaker: &str| result.turns.iter().position(|turn| turn.speaker == speaker);
    speakers.sort_by_key(|speaker| first_turn(speaker).unwrap_or(usize::MAX));
    speakers
}

/// Least and greatest number of speakers; `None` leaves it to the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SpeakerBounds {
    pub(crate) least: Option<NonZeroUsize>,
    pub(crate) most: Option<NonZeroUsize>,
}

impl SpeakerBounds {
    /// Takes `num_speakers`, `min_speakers` and `max_speakers`.
    ///
    /// # Errors
    /// `invalid_value` for numbers out of range or against each other.
    pub(crate) fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        let mut bound = |name| Ok::<_, ApiError>(fields.number(name, 1..=MOST)?.and_then(NonZeroUsize::new));
        let (exact, least, most) = (bound("num_speakers")?, bound("min_speakers")?, bound("max_speakers")?);
        if exact.is_some() && (least.is_some() || most.is_some()) {
            let message = "num_speakers cannot go with min_speakers or max_speakers; give one or the other";
            return Err(ApiError::invalid_value("num_speakers", message));
        }
        if let (Some(least), Some(most)) = (least, most)
            && least > most
        {
            let message = format!("min_speakers is {least} and max_speakers {most}; give a least that is not greater");
            return Err(ApiError::invalid_value("min_speakers", message));
        }
        Ok(Self {
            least: exact.or(least),
            most: exact.or(most),
        })
    }

    /// Whether nothing was asked for.
    pub(crate) fn is_open(self) -> bool {
        self == Self::default()
    }

    /// The request for a recording.
    pub(crate) fn request(self, samples: Samples) -> DiarizationRequest {
        let mut request = DiarizationRequest::new(samples);
        request.min_speakers = self.least;
        request.max_speakers = self.most;
        request
    }
}

#[cfg(test)]
mod tests {
    use inferkit::task::SpeakerTurn;

    use super::*;

    #[test]
    fn who_speaks_first_is_named_first() {
        let turns = vec![SpeakerTurn::new("B", 0.0, 1.0), SpeakerTurn::new("A", 1.0, 2.0)];
        let names = ["A", "B", "C"].map(str::to_owned).to_vec();
        let result = DiarizationResult::new(turns.clone(), turns, names);
        assert_eq!(by_appearance(&result), ["B", "A", "C"]);
    }

    fn bounds(pairs: &[(&str, &str)]) -> Result<(usize, usize), String> {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.push((*name).to_owned(), (*value).to_owned());
        }
        let number = |bound: Option<NonZeroUsize>| bound.map_or(0, NonZeroUsize::get);
        SpeakerBounds::take(&mut fields)
            .map(|bounds| (number(bounds.least), number(bounds.most)))
            .map_err(|error| error.param.unwrap_or_default())
    }

    #[test]
    fn a_number_is_both_bounds_and_bounds_may_be_open() {
        assert_eq!(bounds(&[("num_speakers", "2")]), Ok((2, 2)));
        assert_eq!(bounds(&[("min_speakers", "2"), ("max_speakers", "5")]), Ok((2, 5)));
        assert_eq!(bounds(&[("max_speakers", "20")]), Ok((0, 20)));
        assert_eq!(bounds(&[]), Ok((0, 0)));
    }

    #[test]
    fn contradictions_are_named() {
        assert_eq!(
            bounds(&[("num_speakers", "2"), ("min_speakers", "2")]),
            Err("num_speakers".to_owned())
        );
        assert_eq!(
            bounds(&[("min_speakers", "3"), ("max_speakers", "2")]),
            Err("min_speakers".to_owned())
        );
        assert_eq!(bounds(&[("num_speakers", "0")]), Err("num_speakers".to_owned()));
        assert_eq!(bounds(&[("max_speakers", "21")]), Err("max_speakers".to_owned()));
    }
}
