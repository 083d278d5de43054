//! The routes: from HTTP to the library and back, and the table of all of them.

mod scope;
mod table;

pub use scope::Scope;
pub use table::BodyKind;
pub use table::Found;
pub use table::ROUTES;
pub use table::Route;
pub use table::find;
