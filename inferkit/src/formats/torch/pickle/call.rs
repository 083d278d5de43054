//! The few calls that have a meaning: dictionaries, tensors, and the storages these are views of.

use super::error::Fault;
use super::global::Meaning;
use super::machine::Machine;
use super::machine::Made;
use super::node::Node;
use super::node::NodeId;
use super::node::StorageNode;
use super::node::TensorNode;

impl Machine<'_> {
    /// What calling `callable` with the tuple `arguments` gives.
    pub(super) fn called(&self, callable: NodeId, arguments: NodeId) -> Result<Made, Fault> {
        let first = self.sequence(arguments).and_then(<[_]>::first).copied();
        Ok(match (self.meaning(callable), first) {
            (Some(Meaning::Dict), None) => Made::New(Node::Dict(Vec::new())),
            (Some(Meaning::Tensor), _) => Made::New(Node::Tensor(self.tensor(arguments)?)),
            (Some(Meaning::Parameter | Meaning::Sequence), Some(first)) => Made::Known(first),
            _ => Made::New(Node::Object {
                class: callable,
                arguments,
                state: None,
            }),
        })
    }

    /// The description of an object of `class`, a dictionary if that is what it is.
    pub(super) fn new_object(&self, class: NodeId, arguments: NodeId) -> Node {
        if self.meaning(class) == Some(Meaning::Dict) {
            return Node::Dict(Vec::new());
        }
        Node::Object {
            class,
            arguments,
            state: None,
        }
    }

    /// The storage that a persistent id stands for: `("storage", class, key, location, elements)`.
    pub(super) fn storage(&self, id: NodeId) -> Result<StorageNode, Fault> {
        let malformed = Fault::Malformed { what: "a storage" };
        let Some(&[kind, class, key, _, elements]) = self.sequence(id) else {
            return Err(malformed);
        };
        let is_storage = matches!(self.node(kind), Some(Node::Text(kind)) if kind == "storage");
        match (self.node(class), self.node(key), self.size(elements)) {
            (Some(Node::Global(_)), Some(Node::Text(_)), Some(elements)) if is_storage => {
                Ok(StorageNode { class, key, elements })
            }
            _ => Err(malformed),
        }
    }

    /// `(storage, offset, shape, strides, …)`. Shape and strides are looked at when the tensor is asked for.
    fn tensor(&self, arguments: NodeId) -> Result<TensorNode, Fault> {
        let malformed = Fault::Malformed { what: "a tensor" };
        let Some(&[storage, offset, shape, strides, ..]) = self.sequence(arguments) else {
            return Err(malformed);
        };
        match (self.node(storage), self.size(offset)) {
            (Some(Node::Storage(_)), Some(offset)) => Ok(TensorNode {
                storage,
                offset,
                shape,
                strides,
            }),
            _ => Err(malformed),
        }
    }

    fn meaning(&self, callable: NodeId) -> Option<Meaning> {
        match self.node(callable)? {
            Node::Global(global) => global.meaning(),
            _ => None,
        }
    }

    fn sequence(&self, id: NodeId) -> Option<&[NodeId]> {
        match self.node(id)? {
            Node::Sequence(items) => Some(items),
            _ => None,
        }
    }

    fn size(&self, id: NodeId) -> Option<usize> {
        match self.node(id)? {
            Node::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }
}
