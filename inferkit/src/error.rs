//! What went wrong, whose fault it is, what to do, and whether trying again may help.
//!
//! Whose fault it is shows in the variant of [`Error`]; the exact kind in its code, whose spelling
//! ([`Error::code`]) is the same in the library, over HTTP and in metrics. Modules that read files
//! or talk to the network have error enums of their own and turn them into one of these variants.

use std::sync::Arc;
use std::time::Duration;

/// The result of everything in this library that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error beneath an [`Error`], shared, so that one failure can be told to many waiting callers.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why something did not work. The text names the thing, says what was found, and ends with what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for something that cannot be; asking again does not help.
    #[error("{message}")]
    InvalidRequest {
        /// What kind of mistake it is.
        code: RequestFault,
        /// The field at fault, as a path such as `messages[2].content`.
        param: Option<String>,
        /// One sentence for the caller.
        message: String,
    },

    /// The model's files are broken, or of a kind that this library does not run.
    #[error("{message}")]
    BadModel {
        /// Broken or unsupported.
        code: ModelFault,
        /// Names the file and the part of it.
        message: String,
        /// The reader's own error.
        #[source]
        source: Option<Cause>,
    },

    /// The model hub, or the way to it, did not give what was asked.
    #[error("{message}")]
    Hub {
        /// What the hub or the network did.
        code: HubFault,
        /// Says what to do, such as the page on which to accept a licence.
        message: String,
        /// The client's own error.
        #[source]
        source: Option<Cause>,
    },

    /// Not here or not at this moment.
    #[error("{message}")]
    Unavailable {
        /// What is missing.
        code: UnavailableFault,
        /// Names the step that is running or the resource that is short.
        message: String,
        /// When trying again makes sense, if that is known.
        retry_after: Option<Duration>,
        /// The error beneath, if there is one.
        #[source]
        source: Option<Cause>,
    },

    /// A bug in this library or a failed device: an invariant does not hold.
    #[error("{message}")]
    Internal {
        /// What it happened in.
        code: InternalFault,
        /// The broken invariant.
        message: String,
        /// The error beneath, if there is one.
        #[source]
        source: Option<Cause>,
    },
}

/// Declares a set of codes with their spelling on the wire.
///
/// `codes! { /// Doc. Name { /// Doc. Variant = "spelling" } }` becomes an enum with `as_str`.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// The spelling used over HTTP and in metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

codes! {
    /// Mistakes of the caller.
    RequestFault {
        /// A value has the right type and is not allowed.
        InvalidValue = "invalid_value",
        /// A value that this model or version does not offer.
        UnsupportedValue = "unsupported_value",
        /// A field that this model or version does not offer.
        UnsupportedParameter = "unsupported_parameter",
        /// The prompt does not fit the model's context.
        ContextLengthExceeded = "context_length_exceeded",
        /// Bytes that are no audio of a known kind.
        InvalidAudio = "invalid_audio",
        /// A recording longer than allowed.
        AudioTooLong = "audio_too_long",
        /// The model is of another task.
        UnsupportedModelTask = "unsupported_model_task",
        /// No model of that name.
        ModelNotFound = "model_not_found",
        /// No operation of that id.
        OperationNotFound = "operation_not_found",
        /// Another kind of work runs for this model.
        OperationConflict = "operation_conflict",
        /// The model's files are not there.
        NotDownloaded = "not_downloaded",
        /// The model is loaded or serving.
        ModelInUse = "model_in_use",
        /// The hub's token is set by the environment and cannot be changed here.
        TokenFromEnvironment = "token_from_environment",
        /// There is no hub token.
        NoToken = "no_token",
    }
}

codes! {
    /// What is wrong with a model's files.
    ModelFault {
        /// A file is damaged or contradicts itself or another.
        BadModel = "bad_model",
        /// A sound file of a kind that this library does not run.
        UnsupportedModel = "unsupported_model",
    }
}

codes! {
    /// What the hub or the way to it did.
    HubFault {
        /// Connection refused, reset or stalled.
        Network = "network",
        /// The hub answers with errors of its own.
        HubUnavailable = "hub_unavailable",
        /// No such repository.
        RepositoryNotFound = "repository_not_found",
        /// No such branch, tag or commit.
        RevisionNotFound = "revision_not_found",
        /// The repository does not hold that file.
        FileNotFound = "file_not_found",
        /// A file of another length than announced.
        SizeMismatch = "size_mismatch",
        /// A file whose content is not what was announced.
        HashMismatch = "hash_mismatch",
        /// A gated repository, and no token.
        GatedNoToken = "gated_no_token",
        /// A gated repository whose licence the token's owner has not accepted.
        GatedNotAccepted = "gated_not_accepted",
        /// The hub does not know the token.
        TokenInvalid = "token_invalid",
        /// Offline mode is on, or this build has no hub.
        Offline = "offline",
    }
}

codes! {
    /// What a failure of ours happened in.
    InternalFault {
        /// Anywhere.
        InternalError = "internal_error",
        /// A step of computing an answer: of this answer, or of all that were computed together.
        GenerationFailed = "generation_failed",
    }
}

codes! {
    /// What is missing at this moment.
    UnavailableFault {
        /// The model is on its way.
        ModelLoading = "model_loading",
        /// The model is not loaded, and a request may not load it.
        ModelNotLoaded = "model_not_loaded",
        /// The model's last download or load failed.
        ModelFailed = "model_failed",
        /// Weights or cache do not fit the memory.
        InsufficientMemory = "insufficient_memory",
        /// The model's queue is full.
        QueueFull = "queue_full",
        /// The request waited too long in the queue.
        QueueTimeout = "queue_timeout",
        /// Requests are still running.
        Busy = "busy",
        /// The disk is full.
        DiskFull = "disk_full",
        /// The models directory cannot be written.
        StorageUnwritable = "storage_unwritable",
        /// The work was cancelled.
        Cancelled = "cancelled",
        /// The work made no progress for too long.
        Timeout = "timeout",
        /// The process is ending.
        ShuttingDown = "server_shutting_down",
    }
}

impl Error {
    /// A mistake of the caller in the field `param`.
    pub fn invalid(code: RequestFault, param: impl Into<Option<&'static str>>, message: impl Into<String>) -> Self {
        Self::InvalidRequest {
            code,
            param: param.into().map(str::to_owned),
            message: message.into(),
        }
    }

    /// A damaged model file; `message` names file and part.
    pub fn bad_model(message: impl Into<String>) -> Self {
        Self::BadModel {
            code: ModelFault::BadModel,
            message: message.into(),
            source: None,
        }
    }

    /// A model of a kind that this library does not run.
    pub fn unsupported_model(message: impl Into<String>) -> Self {
        Self::BadModel {
            code: ModelFault::UnsupportedModel,
            message: message.into(),
            source: None,
        }
    }

    /// Something that is missing at this moment.
    pub fn unavailable(code: UnavailableFault, message: impl Into<String>) -> Self {
        Self::Unavailable {
            code,
            message: message.into(),
            retry_after: None,
            source: None,
        }
    }

    /// A failure of the hub or the way to it.
    pub fn hub(code: HubFault, message: impl Into<String>) -> Self {
        Self::Hub {
            code,
            message: message.into(),
            source: None,
        }
    }

    /// A broken invariant of this library.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::Internal {
            code: InternalFault::InternalError,
            message: message.into(),
            source: None,
        }
    }

    /// A failed step of computing an answer; `cause` says what failed in it.
    pub fn generation_failed(cause: impl std::fmt::Display) -> Self {
        Self::Internal {
            code: InternalFault::GenerationFailed,
            message: format!("generation failed: {cause}"),
            source: None,
        }
    }

    /// The work was cancelled by its owner.
    pub fn cancelled() -> Self {
        Self::unavailable(
            UnavailableFault::Cancelled,
            "the work was cancelled; start it again to go on",
        )
    }

    /// Adds the error beneath. An [`Error::InvalidRequest`] keeps none: its text says it all.
    #[must_use]
    pub fn with_source(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        match &mut self {
            Self::BadModel { source, .. }
            | Self::Hub { source, .. }
            | Self::Unavailable { source, .. }
            | Self::Internal { source, .. } => *source = Some(Arc::new(cause)),
            Self::InvalidRequest { .. } => {}
        }
        self
    }

    /// Says when trying again makes sense; only an [`Error::Unavailable`] can say so.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        if let Self::Unavailable { retry_after, .. } = &mut self {
            *retry_after = Some(delay);
        }
        self
    }

    /// The kind of error in its spelling over HTTP and in metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest { code, .. } => code.as_str(),
            Self::BadModel { code, .. } => code.as_str(),
            Self::Hub { code, .. } => code.as_str(),
            Self::Unavailable { code, .. } => code.as_str(),
            Self::Internal { code, .. } => code.as_str(),
        }
    }

    /// The field at fault, if the error is about one.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::InvalidRequest { param, .. } => param.as_deref(),
            _ => None,
        }
    }

    /// Whether the work was cancelled rather than failed.
    pub const fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Unavailable {
                code: UnavailableFault::Cancelled,
                ..
            }
        )
    }

    /// Whether the hub refused (gate, token, offline): nothing is broken, and a person has to act.
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Hub {
                code: HubFault::GatedNoToken | HubFault::GatedNotAccepted | HubFault::TokenInvalid | HubFault::Offline,
                ..
            }
        )
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::InvalidRequest { .. } | Self::BadModel { .. } | Self::Internal { .. } => false,
            Self::Hub { code, .. } => matches!(
                code,
                HubFault::Network | HubFault::HubUnavailable | HubFault::SizeMismatch | HubFault::HashMismatch
            ),
            Self::Unavailable { code, .. } => !matches!(
                code,
                UnavailableFault::ModelNotLoaded | UnavailableFault::StorageUnwritable
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_its_code_its_field_and_its_cause() {
        let error = Error::invalid(
            RequestFault::InvalidValue,
            "temperature",
            "temperature is 3; give 0 to 2",
        );
        assert_eq!((error.code(), error.param()), ("invalid_value", Some("temperature")));

        let error = Error::bad_model("model.safetensors: header").with_source(std::io::Error::other("short read"));
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!((error.code(), cause.as_deref()), ("bad_model", Some("short read")));

        let error = Error::generation_failed("the device has failed");
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("generation_failed", "generation failed: the device has failed")
        );
    }

    #[test]
    fn whose_fault_it_is_shows_in_the_variant() {
        let ours = Error::internal("a step without rows").with_source(std::io::Error::other("x"));
        assert!(matches!(ours, Error::Internal { source: Some(_), .. }));
        let callers = Error::invalid(RequestFault::InvalidValue, None, "x").with_source(std::io::Error::other("x"));
        assert!(
            matches!(&callers, Error::InvalidRequest { param: None, .. })
                && std::error::Error::source(&callers).is_none()
        );
        assert!(matches!(Error::unsupported_model("x"), Error::BadModel { .. }));
        assert!(matches!(Error::hub(HubFault::Network, "x"), Error::Hub { .. }));
        let later = Error::cancelled().with_retry_after(Duration::from_secs(1));
        assert!(matches!(
            later,
            Error::Unavailable {
                retry_after: Some(_),
                ..
            }
        ));
    }

    #[test]
    fn only_passing_faults_may_be_tried_again() {
        assert!(Error::hub(HubFault::Network, "reset").is_retryable());
        assert!(Error::unavailable(UnavailableFault::QueueFull, "full").is_retryable());
        assert!(!Error::hub(HubFault::GatedNoToken, "gated").is_retryable());
        assert!(!Error::unavailable(UnavailableFault::ModelNotLoaded, "not loaded").is_retryable());
        assert!(!Error::internal("a step without rows").is_retryable());
    }

    #[test]
    fn a_refusal_is_told_from_a_fault() {
        assert!(Error::hub(HubFault::Offline, "offline").is_refusal());
        assert!(!Error::hub(HubFault::HashMismatch, "hash").is_refusal());
        assert!(Error::cancelled().is_cancelled());
    }
}
