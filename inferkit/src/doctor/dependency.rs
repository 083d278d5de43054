//! One thing that the process needs, as the inspector found it.

/// One thing that the process needs or can use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dependency {
    /// What it is, such as `nvidia-driver` or `models-directory`.
    pub name: String,
    /// Which kind of thing.
    pub kind: DependencyKind,
    /// Whether models fail without it.
    pub required: bool,
    /// What was found.
    pub status: DependencyStatus,
    /// The version or value found.
    pub version: Option<String>,
    /// The version or value that is needed.
    pub wanted: Option<String>,
    /// What to do, or what it means, in a sentence.
    pub hint: String,
}

/// Kinds of things that a process needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DependencyKind {
    /// A library of the system, or what it gives: certificates, disks, instructions of the processor.
    NativeLibrary,
    /// The driver of a device.
    Driver,
    /// A program.
    Executable,
    /// A part that is compiled in or not.
    CompiledFeature,
}

impl DependencyKind {
    /// The spelling used over HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NativeLibrary => "native_library",
            Self::Driver => "driver",
            Self::Executable => "executable",
            Self::CompiledFeature => "compiled_feature",
        }
    }
}

/// What was found of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DependencyStatus {
    /// It is there and good enough.
    Ok,
    /// It is not there.
    Missing,
    /// It is there and not good enough.
    WrongVersion,
    /// It could not be looked at.
    Unknown,
}

impl DependencyStatus {
    /// The spelling used over HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::WrongVersion => "wrong_version",
            Self::Unknown => "unknown",
        }
    }
}

impl Dependency {
    /// Whether models fail because of this.
    pub const fn is_blocking(&self) -> bool {
        self.required && !matches!(self.status, DependencyStatus::Ok)
    }

    /// A thing of which nothing is known yet.
    pub(super) fn new(name: &str, kind: DependencyKind, required: bool) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            required,
            status: DependencyStatus::Unknown,
            version: None,
            wanted: None,
            hint: String::new(),
        }
    }

    pub(super) fn found(self, status: DependencyStatus, version: impl Into<Option<String>>, hint: &str) -> Self {
        Self {
            status,
            version: version.into(),
            hint: hint.to_owned(),
            ..self
        }
    }

    pub(super) fn wanting(self, wanted: &str) -> Self {
        Self {
            wanted: Some(wanted.to_owned()),
            ..self
        }
    }
}
