//! What an uploaded component may look like, judged before anything is compiled.

use wasmparser::{Encoding, Parser, Payload};

/// The most functions, over all modules: a JavaScript engine has some ten thousand.
const FUNCTIONS_LIMIT: usize = 100_000;

/// The longest function, in bytes: what a compiler needs grows faster than that.
const FUNCTION_LIMIT: usize = 1 << 20;

/// The most core modules and components within each other. Toolchains nest two deep.
const NESTING_LIMIT: usize = 8;

/// The most core modules and components, over all.
const MODULES_LIMIT: usize = 64;

/// The most instances that the component makes, over all levels.
const INSTANCES_LIMIT: usize = 128;

/// Says why a component is not taken.
pub(super) fn inspect(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() < 8 || !Parser::is_component(bytes) {
        return Err("it is not a WebAssembly component".to_owned());
    }
    let mut count = Count::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| format!("it is malformed: {}", error.message()))?;
        count.take(&payload)?;
    }
    Ok(())
}

#[derive(Default)]
struct Count {
    depth: usize,
    modules: usize,
    functions: usize,
    instances: usize,
}

impl Count {
    fn take(&mut self, payload: &Payload<'_>) -> Result<(), String> {
        match payload {
            Payload::Version { encoding, .. } => {
                self.depth += 1;
                self.modules += 1;
                if *encoding == Encoding::Component && self.depth > NESTING_LIMIT {
                    return Err(format!("components nest deeper than {NESTING_LIMIT}"));
                }
                bound("modules and components", self.modules, MODULES_LIMIT)?;
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::FunctionSection(section) => {
                self.functions += section.count() as usize;
                bound("functions", self.functions, FUNCTIONS_LIMIT)?;
            }
            Payload::CodeSectionEntry(body) => {
                let bytes = body.range().len();
                bound("bytes in one function", bytes, FUNCTION_LIMIT)?;
            }
            Payload::InstanceSection(section) => {
                self.instances += section.count() as usize;
                bound("instances", self.instances, INSTANCES_LIMIT)?;
            }
            Payload::ComponentInstanceSection(section) => {
                self.instances += section.count() as usize;
                bound("instances", self.instances, INSTANCES_LIMIT)?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn bound(what: &str, count: usize, limit: usize) -> Result<(), String> {
    if count > limit {
        return Err(format!("it has more than {limit} {what}"));
    }
    Ok(())
}
