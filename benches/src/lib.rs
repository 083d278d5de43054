//! Micro-benches and side-by-side harnesses.
