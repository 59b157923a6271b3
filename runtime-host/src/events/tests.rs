//! The parts of an event's way that need no host.
