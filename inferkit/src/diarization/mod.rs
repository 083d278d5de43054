//! Who speaks when: pyannote's pipelines.
