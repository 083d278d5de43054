//! The decoder against the reference implementation and against itself.

mod gguf_files;
mod harness;
mod hostile;
mod loading;
mod paging;
mod published_folders;
mod smollm2;
