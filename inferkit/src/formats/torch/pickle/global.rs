//! Names of Python that a pickle mentions, and what they mean here.

use crate::formats::safetensors::ElementType;
use crate::formats::shown::quoted;

/// A name in a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Global {
    /// `torch._utils`, `collections`, …
    pub(crate) module: String,
    /// `_rebuild_tensor_v2`, `OrderedDict`, …
    pub(crate) name: String,
}

/// What calling a name gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A dictionary.
    Dict,
    /// A tensor.
    Tensor,
    /// The first argument, which is a tensor.
    Parameter,
    /// The first argument, which is a list or tuple.
    Sequence,
}

/// Modules by which attacks on readers of pickles run commands or code. No checkpoint has a use for them.
const ATTACKS: [&str; 18] = [
    "commands",
    "ctypes",
    "importlib",
    "nt",
    "os",
    "pdb",
    "pickle",
    "popen2",
    "posix",
    "pty",
    "runpy",
    "shutil",
    "socket",
    "subprocess",
    "sys",
    "timeit",
    "webbrowser",
    "_posixsubprocess",
];

/// Functions of the same use among Python's own.
const ATTACKS_BUILT_IN: [&str; 7] = ["__import__", "apply", "compile", "eval", "exec", "getattr", "open"];

impl Global {
    /// What calling it means; `None` for what is only described.
    pub(super) fn meaning(&self) -> Option<Meaning> {
        match (self.module.as_str(), self.name.as_str()) {
            ("collections", "OrderedDict") => Some(Meaning::Dict),
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Some(Meaning::Tensor),
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Some(Meaning::Parameter),
            ("torch", "Size") => Some(Meaning::Sequence),
            _ => None,
        }
    }

    /// The type of numbers in a storage of this class; the class as text if it is another type.
    pub(in super::super) fn storage_element(&self) -> Result<ElementType, String> {
        let unknown = || Err(self.shown());
        if !matches!(self.module.as_str(), "torch" | "torch.cuda" | "torch.storage") {
            return unknown();
        }
        Ok(match self.name.as_str() {
            "FloatStorage" => ElementType::F32,
            "HalfStorage" => ElementType::F16,
            "BFloat16Storage" => ElementType::Bf16,
            "DoubleStorage" => ElementType::F64,
            "LongStorage" => ElementType::I64,
            "IntStorage" => ElementType::I32,
            "ShortStorage" => ElementType::I16,
            "CharStorage" => ElementType::I8,
            "ByteStorage" => ElementType::U8,
            "BoolStorage" => ElementType::Bool,
            _ => return unknown(),
        })
    }

    /// Whether it is a means of attack.
    pub(super) fn is_attack(&self) -> bool {
        let top = self.module.split('.').next().unwrap_or_default();
        let built_in = matches!(self.module.as_str(), "builtins" | "__builtin__");
        // `a.b` as a name is looked up step by step, which leads from any module to any other.
        let first = self.name.split('.').next().unwrap_or_default();
        ATTACKS.contains(&top) || built_in && ATTACKS_BUILT_IN.contains(&first)
    }

    /// Module and name for a message.
    pub(super) fn shown(&self) -> String {
        quoted(&format!("{}.{}", self.module, self.name))
    }
}
