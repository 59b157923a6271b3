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
        if !is_valid_name(&name) {
            let name = name.chars().take(NAME_LIMIT).collect();
            return Err(Error::InvalidName(name));
        }
        let value = accessor.with(|mut access| access.get().0.get(&name).cloned());
        value.ok_or(Error::Undefined(name))
    }
}

/// Whether Spin would take `name` as the name of a variable: lower-case words, digits and
/// single underscores, beginning with a letter.
pub(crate) fn is_valid_name(name: &str) -> bool {
    name.len() <= NAME_LIMIT
        && name.split('_').all(|word| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::is_valid_name;

    #[test]
    fn names_are_lower_snake_case() {
        for good in ["registration", "admin_token", "a1_b2"] {
            assert!(is_valid_name(good), "{good}");
        }
        for bad in ["", "_", "a_", "_a", "a__b", "A", "a-b", "1a", "a b"] {
            assert!(!is_valid_name(bad), "{bad}");
        }
    }
}
