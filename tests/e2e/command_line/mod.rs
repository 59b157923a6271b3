//! The command line against a running host.

mod chatting;
mod history;
mod keys_and_ids;
mod profiles;
mod shell;
