//! Chat, speech recognition and diarization in one process, natively, with their life cycle.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod audio;
pub mod catalog;
mod chat;
mod diarization;
mod doctor;
mod error;
mod formats;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod hub;
mod job;
pub mod meeting;
mod monitor;
mod nn;
mod panics;
mod registry;
mod speech;
mod storage;
pub mod task;
#[cfg(test)]
mod testing;
mod wrapper;

pub use chat::QwenModel;
pub use chat::QwenOptions;
pub use diarization::DerOptions;
pub use diarization::DiarizationError;
pub use diarization::Pairing;
pub use diarization::PyannoteDiarizationModel;
pub use diarization::PyannoteOptions;
pub use diarization::diarization_error;
pub use doctor::Dependency;
pub use doctor::DependencyKind;
pub use doctor::DependencyStatus;
pub use doctor::InspectOptions;
pub use doctor::inspect;
pub use error::Cause;
pub use error::Error;
pub use error::HubFault;
pub use error::InternalFault;
pub use error::ModelFault;
pub use error::RequestFault;
pub use error::Result;
pub use error::UnavailableFault;
pub use hub::FileSelection;
pub use hub::Hub;
pub use hub::HubBuilder;
pub use hub::Source;
pub use hub::TokenSource;
pub use hub::TokenStatus;
pub use hub::TokenStore;
pub use monitor::DiskRole;
pub use monitor::DiskSample;
pub use monitor::GpuMonitor;
pub use monitor::GpuPoint;
pub use monitor::GpuReport;
pub use monitor::GpuSample;
pub use monitor::History;
pub use monitor::HistoryWindow;
pub use monitor::HostMonitor;
pub use monitor::HostSample;
pub use monitor::Monitor;
pub use monitor::MonitorOptions;
pub use monitor::Point;
pub use monitor::ProcessSample;
pub use monitor::Sample;
pub use nn::CacheDtypePreference;
pub use nn::DevicePreference;
pub use nn::DtypePreference;
pub use nn::Threads;
pub use registry::ErrorReport;
pub use registry::Event;
pub use registry::Lease;
pub use registry::ModelHandle;
pub use registry::ModelPolicy;
pub use registry::ModelRegistry;
pub use registry::ModelStatus;
pub use registry::OnDemand;
pub use registry::Operation;
pub use registry::OperationKind;
pub use registry::OperationState;
pub use registry::RegistryBuilder;
pub use registry::RuntimeStatus;
pub use registry::UnloadOptions;
pub use speech::CanaryAsrModel;
pub use speech::CanaryOptions;
pub use speech::WhisperModel;
pub use speech::WhisperOptions;
pub use wrapper::DownloadOptions;
pub use wrapper::FileInventory;
pub use wrapper::Health;
pub use wrapper::Job;
pub use wrapper::LoadOptions;
pub use wrapper::Loaded;
pub use wrapper::MemoryRange;
pub use wrapper::MemoryUse;
pub use wrapper::ModelFile;
pub use wrapper::ModelInfo;
pub use wrapper::ModelWrapper;
pub use wrapper::Progress;

/// The program of the README, which compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
