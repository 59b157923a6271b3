//! Tenants that bring their own rules: uploaded, asked, swapped, explained.

mod explain;
mod hooks;
mod shadow;
mod upload;
