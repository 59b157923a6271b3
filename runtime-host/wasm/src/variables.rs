//! `spin:variables@3.0.0`: the variables that the manifest gives a component.
//!
//! Values are resolved once, at start-up; there is no provider that could change them.

use super::bindings::rest::spin::variables::variables::{Error, Host, HostWithStore};
use std::collections::HashMap;
use wasmtime::component::{Accessor, HasData};

/// The longest name that is looked at. Longer ones cannot be declared.
const NAME_LIMIT: usize = 128;

/// Names [`VariablesView`] as the data that the generated bindings work on.
pub(super) struct Variables;

impl HasData for Variables {
    type Data<'a> = VariablesView<'a>;
}

/// One component's variables.
pub(super) struct VariablesView<'a>(pub(super) &'a HashMap<String, String>);

impl Host for VariablesView<'_> {}

impl<T: Send> HostWithStore<T> for Variables {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        if name.len() > NAME_LIMIT || !is_valid_name(&name) {
            let name = name.chars().take(NAME_LIMIT).collect();
            return Err(Error::InvalidName(name));
        }
        let value = accessor.with(|mut access| access.get().0.get(&name).cloned());
        value.ok_or(Error::Undefined(name))
    }
}

/// Whether Spin takes `name` as the name of a variable: words of lower-case letters and
/// digits joined by single underscores, each beginning with a letter.
pub fn is_valid_name(name: &str) -> bool {
    name.split('_').all(|word| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}
