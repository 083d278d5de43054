//! Sound: any file to 16 kHz mono samples, and samples to what acoustic models read.
