//! Who said what: a transcript and a diarization of the same recording, put together.
//!
//! ```text
//! samples ─┬─▶ transcription ─▶ segments, words ─┬─▶ attribute ─▶ segments with speakers ─▶ subtitles
//!          └─▶ diarization ───▶ turns ───────────┘
//! ```
//!
//! Both models work at the same time ([`transcribe_meeting`], or [`join_meeting`] where they were asked already); how words
//! find their speakers is the rule of [`attribute`].
//!
//! **Invariant:** nothing here knows which models the two are.

mod attribution;
mod run;
mod subtitles;
mod text;

pub use attribution::AttributedSegment;
pub use attribution::AttributedWord;
pub use attribution::attribute;
pub use run::Meeting;
pub use run::MeetingEvent;
pub use run::MeetingRequest;
pub use run::MeetingStream;
pub use run::join_meeting;
pub use run::transcribe_meeting;
pub use subtitles::Cue;
pub use subtitles::to_srt;
pub use subtitles::to_vtt;
