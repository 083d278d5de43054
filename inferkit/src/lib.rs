//! Chat, speech recognition and diarization in one process, natively, with their life cycle.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod chat;
mod error;
#[allow(
    dead_code,
    unused_imports,
    reason = "the decoders and the text layer, which read models, sit above this floor"
)]
mod formats;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod hub;
mod nn;
mod registry;
pub mod task;
mod wrapper;

pub use error::Cause;
pub use error::Error;
pub use error::HubFault;
pub use error::ModelFault;
pub use error::RequestFault;
pub use error::Result;
pub use error::UnavailableFault;
pub use hub::Source;
pub use nn::DevicePreference;
pub use nn::DtypePreference;
pub use registry::ErrorReport;
pub use registry::Event;
pub use registry::ModelPolicy;
pub use registry::ModelStatus;
pub use registry::OnDemand;
pub use registry::Operation;
pub use registry::OperationKind;
pub use registry::OperationState;
pub use registry::RuntimeStatus;
pub use wrapper::DownloadOptions;
pub use wrapper::FileInventory;
pub use wrapper::Job;
pub use wrapper::LoadOptions;
pub use wrapper::Loaded;
pub use wrapper::MemoryUse;
pub use wrapper::ModelFile;
pub use wrapper::ModelInfo;
pub use wrapper::ModelWrapper;
pub use wrapper::Progress;
