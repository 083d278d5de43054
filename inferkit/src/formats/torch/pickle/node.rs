//! The objects of a pickle, each in one place, which others point to.

use super::global::Global;

/// The place of a node among all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(pub(super) u32);

/// One object.
#[derive(Debug)]
pub(super) enum Node {
    None,
    Bool(
        #[cfg_attr(
            not(any(fuzzing, test)),
            expect(dead_code, reason = "no model's loading depends on one")
        )]
        bool,
    ),
    Int(i64),
    Float(f64),
    Text(String),
    /// Bytes or an old kind of text, which nobody needs.
    Bytes,
    /// A whole number beyond 64 bits, whose value nobody needs.
    LongInt,
    /// List, tuple or set.
    Sequence(Vec<NodeId>),
    /// In the order in which the pickle fills it; of keys that stand twice the last one counts.
    Dict(Vec<(NodeId, NodeId)>),
    /// A class or function.
    Global(Global),
    /// A storage of numbers in the checkpoint.
    Storage(StorageNode),
    Tensor(TensorNode),
    /// What calling `class` would give; nothing was called.
    Object {
        class: NodeId,
        arguments: NodeId,
        state: Option<NodeId>,
    },
}

/// A reference to numbers outside the pickle.
#[derive(Debug, Clone, Copy)]
pub(super) struct StorageNode {
    /// Class of the storage, which says the type of its numbers.
    pub(super) class: NodeId,
    /// The entry `data/<key>` holds them.
    pub(super) key: NodeId,
    /// How many there are.
    pub(super) elements: usize,
}

/// A tensor: a view of a storage. Holds places and not copies, since a few bytes can mention a long shape again.
#[derive(Debug, Clone, Copy)]
pub(super) struct TensorNode {
    pub(super) storage: NodeId,
    /// Where it begins, in elements.
    pub(super) offset: usize,
    pub(super) shape: NodeId,
    pub(super) strides: NodeId,
}
