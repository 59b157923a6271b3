//! What [`super::fence`] is made of: the standard library's. Under the model checker of
//! `tests/fence` others take their place.

pub(super) use std::collections::hash_map::RandomState as KeyHasher;
pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(super) use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
