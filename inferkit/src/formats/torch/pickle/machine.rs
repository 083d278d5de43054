//! The stack machine that a pickle is written for, without the power to call anything.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::cursor::text;
use super::error::Fault;
use super::error::PickleError;
use super::global::Global;
use super::node::Node;
use super::node::NodeId;
use super::opcode as op;

/// Most objects in a pickle. The checkpoints read here have forty thousand at most, each of some sixty bytes.
const MOST_OBJECTS: usize = 1 << 20;

/// Most references on the stack and in the memo.
const MOST_REFERENCES: usize = 1 << 21;

/// Deepest nesting of marks: a mark for each unfinished list or dictionary.
const MOST_MARKS: usize = 1 << 10;

/// Builds the nodes of a pickle.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    cursor: Cursor<'a>,
    pub(super) nodes: Vec<Node>,
    stack: Vec<NodeId>,
    /// Heights of the stack, each of which nothing may be taken from below.
    marks: Vec<usize>,
    memo: HashMap<u32, NodeId>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(pickle: &'a [u8]) -> Self {
        Self {
            cursor: Cursor::new(pickle),
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    /// Carries out the whole pickle; returns all nodes and which of them it is about.
    pub(super) fn run(mut self) -> Result<(Vec<Node>, NodeId), PickleError> {
        loop {
            let at = self.cursor.position();
            let step = self.cursor.u8().and_then(|code| self.step(code));
            match step {
                Ok(Some(root)) => return Ok((self.nodes, root)),
                Ok(None) => {}
                Err(fault) => return Err(PickleError { at, fault }),
            }
        }
    }

    /// One opcode; returns the result of the pickle at its end.
    fn step(&mut self, code: u8) -> Result<Option<NodeId>, Fault> {
        match code {
            op::STOP => return self.pop().map(Some),
            op::PROTO => match self.cursor.u8()? {
                2..=5 => {}
                version => return Err(Fault::Protocol { version }),
            },
            op::FRAME => {
                // Frames are hints for readers of streams.
                self.cursor.array::<8>()?;
            }
            op::MARK => {
                if self.marks.len() >= MOST_MARKS {
                    return Err(Fault::TooMany {
                        what: "marks",
                        most: MOST_MARKS,
                    });
                }
                self.marks.push(self.stack.len());
            }
            op::POP => {
                self.pop()?;
            }
            op::POP_MARK => {
                self.pop_mark()?;
            }
            op::DUP => {
                let top = self.top()?;
                self.push(top)?;
            }
            op::BIN_PUT | op::LONG_BIN_PUT | op::MEMOIZE | op::BIN_GET | op::LONG_BIN_GET => self.use_memo(code)?,
            op::GLOBAL
            | op::STACK_GLOBAL
            | op::REDUCE
            | op::NEW_OBJECT
            | op::NEW_OBJECT_EX
            | op::BUILD
            | op::BIN_PERSISTENT_ID => self.describe(code)?,
            _ => match self.literal(code)? {
                Some(node) => self.push_new(node)?,
                None => self.gather(code)?,
            },
        }
        Ok(None)
    }

    /// What stands in the pickle itself: numbers, texts, empty containers. `None` for other opcodes.
    fn literal(&mut self, code: u8) -> Result<Option<Node>, Fault> {
        let cursor = &mut self.cursor;
        Ok(Some(match code {
            op::NONE => Node::None,
            op::NEW_TRUE => Node::Bool(true),
            op::NEW_FALSE => Node::Bool(false),
            op::BIN_INT => Node::Int(i32::from_le_bytes(cursor.array()?).into()),
            op::BIN_INT_1 => Node::Int(cursor.u8()?.into()),
            op::BIN_INT_2 => Node::Int(u16::from_le_bytes(cursor.array()?).into()),
            op::LONG_1 => cursor.long()?.map_or(Node::LongInt, Node::Int),
            op::BIN_FLOAT => Node::Float(f64::from_be_bytes(cursor.array()?)),
            op::BIN_TEXT => Node::Text(text(cursor.counted::<4>()?)?),
            op::SHORT_BIN_TEXT => Node::Text(text(cursor.counted::<1>()?)?),
            op::BIN_TEXT_8 => Node::Text(text(cursor.counted::<8>()?)?),
            op::BIN_STRING | op::BIN_BYTES => cursor.counted::<4>().map(|_| Node::Bytes)?,
            op::SHORT_BIN_STRING | op::SHORT_BIN_BYTES => cursor.counted::<1>().map(|_| Node::Bytes)?,
            op::BIN_BYTES_8 => cursor.counted::<8>().map(|_| Node::Bytes)?,
            op::EMPTY_TUPLE | op::EMPTY_LIST | op::EMPTY_SET => Node::Sequence(Vec::new()),
            op::EMPTY_DICT => Node::Dict(Vec::new()),
            _ => return Ok(None),
        }))
    }

    /// Containers made of, or filled with, what lies on the stack.
    fn gather(&mut self, code: u8) -> Result<(), Fault> {
        match code {
            op::TUPLE_1 => self.make_sequence(1),
            op::TUPLE_2 => self.make_sequence(2),
            op::TUPLE_3 => self.make_sequence(3),
            op::TUPLE | op::LIST | op::FROZEN_SET => {
                let items = self.pop_mark()?;
                self.push_new(Node::Sequence(items))
            }
            op::DICT => {
                let items = pairs(&self.pop_mark()?)?;
                self.push_new(Node::Dict(items))
            }
            op::APPEND => {
                let item = self.pop()?;
                self.extend(&[item])
            }
            op::APPENDS | op::ADD_ITEMS => {
                let items = self.pop_mark()?;
                self.extend(&items)
            }
            op::SET_ITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.insert(&[(key, value)])
            }
            op::SET_ITEMS => {
                let items = pairs(&self.pop_mark()?)?;
                self.insert(&items)
            }
            code => Err(Fault::Opcode { code }),
        }
    }

    fn use_memo(&mut self, code: u8) -> Result<(), Fault> {
        let place = match code {
            op::BIN_PUT | op::BIN_GET => self.cursor.u8()?.into(),
            op::LONG_BIN_PUT | op::LONG_BIN_GET => self.cursor.u32()?,
            _ => u32::try_from(self.memo.len()).unwrap_or(u32::MAX),
        };
        if matches!(code, op::BIN_GET | op::LONG_BIN_GET) {
            let node = self.memo.get(&place).copied();
            return self.push(node.ok_or(Fault::EmptyMemo { place })?);
        }
        if self.memo.len() >= MOST_REFERENCES {
            return Err(too_many_references());
        }
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    /// Names, and descriptions of what calling them would give.
    fn describe(&mut self, code: u8) -> Result<(), Fault> {
        match code {
            op::GLOBAL => {
                let (module, name) = (self.cursor.line()?, self.cursor.line()?);
                self.push_global(Global { module, name })
            }
            op::STACK_GLOBAL => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.node(module), self.node(name)) {
                    (Some(Node::Text(module)), Some(Node::Text(name))) => {
                        let (module, name) = (module.clone(), name.clone());
                        self.push_global(Global { module, name })
                    }
                    _ => Err(Fault::Malformed { what: "a name" }),
                }
            }
            op::REDUCE => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let node = self.called(callable, arguments)?;
                self.push_made(node)
            }
            op::NEW_OBJECT | op::NEW_OBJECT_EX => {
                if code == op::NEW_OBJECT_EX {
                    // Arguments by name; nobody asks for them.
                    self.pop()?;
                }
                let (arguments, class) = (self.pop()?, self.pop()?);
                let node = self.new_object(class, arguments);
                self.push_new(node)
            }
            op::BUILD => {
                let (state, object) = (self.pop()?, self.top()?);
                // Attributes of dictionaries and tensors, such as the versions of modules, mean nothing here.
                if let Some(Node::Object { state: old, .. }) = self.node_mut(object) {
                    *old = Some(state);
                }
                Ok(())
            }
            _ => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push_new(Node::Storage(storage))
            }
        }
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(usize::try_from(id.0).ok()?)
    }

    fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(id.0).ok()?)
    }

    fn push_global(&mut self, global: Global) -> Result<(), Fault> {
        if global.is_attack() {
            return Err(Fault::Attack { name: global.shown() });
        }
        self.push_new(Node::Global(global))
    }

    fn push_made(&mut self, made: Made) -> Result<(), Fault> {
        match made {
            Made::New(node) => self.push_new(node),
            Made::Known(id) => self.push(id),
        }
    }

    fn push_new(&mut self, node: Node) -> Result<(), Fault> {
        if self.nodes.len() >= MOST_OBJECTS {
            return Err(Fault::TooMany {
                what: "objects",
                most: MOST_OBJECTS,
            });
        }
        let id = u32::try_from(self.nodes.len()).map_err(|_| too_many_references())?;
        self.nodes.push(node);
        self.push(NodeId(id))
    }

    fn push(&mut self, id: NodeId) -> Result<(), Fault> {
        if self.stack.len() >= MOST_REFERENCES {
            return Err(too_many_references());
        }
        self.stack.push(id);
        Ok(())
    }

    /// The height of the stack that nothing may be taken from below.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<NodeId, Fault> {
        let top = self.stack.last().filter(|_| self.stack.len() > self.floor());
        top.copied().ok_or(Fault::EmptyStack)
    }

    fn pop(&mut self) -> Result<NodeId, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Everything above the last mark, which is taken away too.
    fn pop_mark(&mut self) -> Result<Vec<NodeId>, Fault> {
        let height = self.marks.pop().ok_or(Fault::EmptyStack)?;
        Ok(self.stack.split_off(height.min(self.stack.len())))
    }

    fn make_sequence(&mut self, count: usize) -> Result<(), Fault> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push_new(Node::Sequence(items))
    }

    fn extend(&mut self, more: &[NodeId]) -> Result<(), Fault> {
        let container = self.top()?;
        // What is added to a described object is not kept: nobody can ask for it.
        if let Some(Node::Sequence(items)) = self.node_mut(container) {
            items.extend_from_slice(more);
        }
        Ok(())
    }

    fn insert(&mut self, more: &[(NodeId, NodeId)]) -> Result<(), Fault> {
        let container = self.top()?;
        if let Some(Node::Dict(items)) = self.node_mut(container) {
            items.extend_from_slice(more);
        }
        Ok(())
    }
}

/// What a call gives: an object of its own, or one that is there.
pub(super) enum Made {
    New(Node),
    Known(NodeId),
}

fn pairs(items: &[NodeId]) -> Result<Vec<(NodeId, NodeId)>, Fault> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Fault::OddPairs);
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

const fn too_many_references() -> Fault {
    Fault::TooMany {
        what: "references",
        most: MOST_REFERENCES,
    }
}
