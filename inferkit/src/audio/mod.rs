//! Sound: any file to 16 kHz mono samples, and samples to what acoustic models read.

#[allow(dead_code, reason = "models read features, and they sit above this floor")]
mod mel;

#[allow(unused_imports, reason = "models read features, and they sit above this floor")]
pub(crate) use mel::Features;
#[allow(unused_imports, reason = "models read features, and they sit above this floor")]
pub(crate) use mel::Filterbank;
#[allow(unused_imports, reason = "models read features, and they sit above this floor")]
pub(crate) use mel::Logarithm;
#[allow(unused_imports, reason = "models read features, and they sit above this floor")]
pub(crate) use mel::MelConfig;
#[allow(unused_imports, reason = "models read features, and they sit above this floor")]
pub(crate) use mel::MelFrontEnd;
#[allow(unused_imports, reason = "models read features, and they sit above this floor")]
pub(crate) use mel::Padding;
#[allow(unused_imports, reason = "models read features, and they sit above this floor")]
pub(crate) use mel::Spread;
#[allow(unused_imports, reason = "models read features, and they sit above this floor")]
pub(crate) use mel::hann;
