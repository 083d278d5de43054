//! The library from outside: what an embedder sees, and the rules of the house.

// The lints that spare tests know helpers beside them by this mark only.
#[cfg(test)]
mod chat;
#[cfg(test)]
mod conversation;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod registry;
