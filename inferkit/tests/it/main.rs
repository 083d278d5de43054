//! The library from outside: what an embedder sees, and the rules of the house.

mod fake;
//mod layers;
mod registry;
