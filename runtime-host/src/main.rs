//! The sschat binary.
fn main() {}
