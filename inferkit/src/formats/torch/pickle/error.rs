//! What can be wrong with a pickle.

/// A fault and where it was met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of data.pkl: {fault}")]
pub(crate) struct PickleError {
    /// Of the pickle; the opcode at fault begins there.
    pub(crate) at: usize,
    /// What was met.
    pub(crate) fault: Fault,
}

/// Why a pickle is refused. Texts from the file are already quoted and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The pickle ends first.
    #[error("the pickle ends in the middle of it")]
    CutShort,
    /// An opcode that checkpoints do not use.
    #[error("opcode {code:#04x} is not read")]
    Opcode { code: u8 },
    /// A version that is not read.
    #[error("pickle protocol {version} is not read, 2 to 5 are")]
    Protocol { version: u8 },
    /// A text that is none.
    #[error("a text that is not UTF-8")]
    NotUtf8,
    /// A name without end.
    #[error("a name without end")]
    LongName,
    /// An opcode takes more than there is.
    #[error("it takes more from the stack than lies there")]
    EmptyStack,
    /// A list of pairs with an odd one.
    #[error("a key without a value")]
    OddPairs,
    /// A place in the memo that was never filled.
    #[error("place {place} of the memo is empty")]
    EmptyMemo { place: u32 },
    /// More of something than any honest pickle has.
    #[error("more than {most} {what}; no honest checkpoint has as many")]
    TooMany { what: &'static str, most: usize },
    /// A function by which attacks run commands.
    #[error("it names {name}, by which Python would run commands; nothing was run, and the file is not to be trusted")]
    Attack { name: String },
    /// A reference to a storage, or the description of a tensor, that is none.
    #[error("{what} is not described as PyTorch does")]
    Malformed { what: &'static str },
}
