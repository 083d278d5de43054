//! What a key may do.

/// What a route demands of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Nothing: the route is open to everybody.
    Public,
    /// Running models.
    Inference,
    /// Reading metrics.
    Metrics,
    /// Everything.
    Admin,
}

impl Scope {
    /// The spelling in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Inference => "inference",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }
}
