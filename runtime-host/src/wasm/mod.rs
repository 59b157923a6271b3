//! Components: the engine, what the host offers to them, and calls into them.

pub mod authority;
