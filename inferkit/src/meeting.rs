//! Who said what: a transcript and a diarization of the same recording, put together.
