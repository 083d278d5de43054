//! The examples stand beside this file, one a use.
