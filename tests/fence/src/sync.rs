//! What `fence.rs` is made of here.

pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard, Weak};
pub(crate) use std::sync::PoisonError;

/// Keys by a hash that is the same in every run, or no run could be repeated.
pub(crate) type KeyHasher =
    std::hash::BuildHasherDefault<std::collections::hash_map::DefaultHasher>;
