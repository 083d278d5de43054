//! Reading a pickle's objects: a value is a place among them.

use super::error::Fault;
use super::error::PickleError;
use super::global::Global;
use super::machine::Machine;
use super::node::Node;
use super::node::NodeId;
use super::node::TensorNode;

/// Most dimensions of a shape. PyTorch allows 64, and no layer has more than five.
const MOST_DIMENSIONS: usize = 8;

/// All objects of a pickle.
#[derive(Debug)]
pub(in super::super) struct Pickle {
    nodes: Vec<Node>,
    root: NodeId,
}

/// One object of a pickle. Cheap to copy; asking for what it is not gives `None`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a> {
    pickle: &'a Pickle,
    node: &'a Node,
}

/// What a pickle says of a tensor.
#[derive(Debug)]
pub(in super::super) struct TensorParts<'a> {
    /// Class of the storage, which says the type of its numbers.
    pub(in super::super) class: &'a Global,
    /// The entry `data/<key>` holds the numbers.
    pub(in super::super) key: &'a str,
    /// Numbers in the storage.
    pub(in super::super) elements: usize,
    /// Where the tensor begins in the storage, in elements.
    pub(in super::super) offset: usize,
    /// Dimensions, outermost first.
    pub(in super::super) shape: Vec<usize>,
    /// Elements between neighbours in each dimension.
    pub(in super::super) strides: Vec<usize>,
}

impl Pickle {
    /// Reads `bytes`. What follows the end of the pickle is not looked at.
    ///
    /// # Errors
    /// [`PickleError`] with the byte at which it cannot be read on.
    pub(in super::super) fn parse(bytes: &[u8]) -> Result<Self, PickleError> {
        let (nodes, root) = Machine::new(bytes).run()?;
        Ok(Self { nodes, root })
    }

    /// The object that the pickle is about.
    pub(in super::super) fn root(&self) -> Value<'_> {
        self.value(self.root)
    }

    fn value(&self, id: NodeId) -> Value<'_> {
        let place = usize::try_from(id.0).ok();
        // Each id was given to a node when that was made.
        let node = place.and_then(|place| self.nodes.get(place)).unwrap_or(&Node::None);
        Value { pickle: self, node }
    }
}

impl<'a> Value<'a> {
    /// Whether it is Python's `None`.
    pub(crate) fn is_none(self) -> bool {
        matches!(self.node, Node::None)
    }

    pub(crate) fn as_bool(self) -> Option<bool> {
        match self.node {
            Node::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// A whole number of at most 64 bits.
    pub(crate) fn as_int(self) -> Option<i64> {
        match self.node {
            Node::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// A number, whole or not.
    pub(crate) fn as_float(self) -> Option<f64> {
        match self.node {
            Node::Float(number) => Some(*number),
            Node::Int(number) => Some(*number as f64),
            _ => None,
        }
    }

    pub(crate) fn as_text(self) -> Option<&'a str> {
        match self.node {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list, tuple or set.
    pub(crate) fn items(self) -> Option<impl Iterator<Item = Self>> {
        match self.node {
            Node::Sequence(items) => Some(items.iter().map(move |id| self.pickle.value(*id))),
            _ => None,
        }
    }

    /// Keys and values of a dictionary, in its order; of a key that stands twice the last one counts.
    pub(crate) fn entries(self) -> Option<impl DoubleEndedIterator<Item = (Self, Self)>> {
        let value = move |id: &NodeId| self.pickle.value(*id);
        match self.node {
            Node::Dict(items) => Some(items.iter().map(move |(key, item)| (value(key), value(item)))),
            _ => None,
        }
    }

    /// What a dictionary holds under the text `key`. Looks through all keys.
    pub(crate) fn get(self, key: &str) -> Option<Self> {
        let mut entries = self.entries()?.rev();
        entries
            .find(|(name, _)| name.as_text() == Some(key))
            .map(|(_, value)| value)
    }

    /// The class of an object that was described and not made, or the class or function that this is itself.
    pub(crate) fn class(self) -> Option<&'a Global> {
        match self.node {
            Node::Global(global) => Some(global),
            Node::Object { class, .. } => match self.pickle.value(*class).node {
                Node::Global(global) => Some(global),
                _ => None,
            },
            _ => None,
        }
    }

    /// The arguments that a described object would be made with: a tuple.
    pub(crate) fn arguments(self) -> Option<Self> {
        match self.node {
            Node::Object { arguments, .. } => Some(self.pickle.value(*arguments)),
            _ => None,
        }
    }

    /// The attributes that a described object would get, mostly a dictionary.
    pub(crate) fn state(self) -> Option<Self> {
        match self.node {
            Node::Object { state, .. } => state.map(|id| self.pickle.value(id)),
            _ => None,
        }
    }

    /// What the object is, for messages.
    pub(crate) fn kind(self) -> String {
        match self.node {
            Node::None => "None".to_owned(),
            Node::Bool(_) => "a truth value".to_owned(),
            Node::Int(_) | Node::LongInt | Node::Float(_) => "a number".to_owned(),
            Node::Text(_) => "a text".to_owned(),
            Node::Bytes(_) => "bytes".to_owned(),
            Node::Sequence(_) => "a list".to_owned(),
            Node::Dict(_) => "a dictionary".to_owned(),
            Node::Global(global) => format!("the name {}", global.shown()),
            Node::Storage(_) => "a storage".to_owned(),
            Node::Tensor(_) => "a tensor".to_owned(),
            Node::Object { .. } => match self.class() {
                Some(class) => format!("an object of {}, which is not made", class.shown()),
                None => "an object of no class".to_owned(),
            },
        }
    }

    /// The tensor that it is; a fault if its description is broken.
    pub(in super::super) fn as_tensor(self) -> Option<Result<TensorParts<'a>, Fault>> {
        let malformed = Fault::Malformed { what: "a tensor" };
        match self.node {
            Node::Tensor(tensor) => Some(self.parts(*tensor).ok_or(malformed)),
            _ => None,
        }
    }

    fn parts(self, tensor: TensorNode) -> Option<TensorParts<'a>> {
        let Node::Storage(storage) = self.pickle.value(tensor.storage).node else {
            return None;
        };
        let sizes = |id| {
            let items = self.pickle.value(id).items()?;
            let sizes = items
                .take(MOST_DIMENSIONS + 1)
                .map(|item| usize::try_from(item.as_int()?).ok());
            sizes.collect::<Option<Vec<_>>>()
        };
        let (shape, strides) = (sizes(tensor.shape)?, sizes(tensor.strides)?);
        let honest = shape.len() == strides.len() && shape.len() <= MOST_DIMENSIONS;
        honest.then_some(())?;
        Some(TensorParts {
            class: self.pickle.value(storage.class).class()?,
            key: self.pickle.value(storage.key).as_text()?,
            elements: storage.elements,
            offset: tensor.offset,
            shape,
            strides,
        })
    }
}
