//! Policies that are valid, allow everything, and cost a host without bounds too much
//! before the first call: to compile, to parse or to set up.

use std::fmt::Write;

/// What would take minutes of processor time and gigabytes to compile: 28 MiB to upload, no
/// more functions than a program of any size has.
#[must_use]
pub fn compile_bomb() -> Vec<u8> {
    branches(4, 1_900, 1_900)
}

/// A policy with so many functions that are never called, each different. A hundred thousand
/// are 12 MiB to upload, a quarter of a minute of one core and 700 MiB to compile.
#[must_use]
pub fn functions(count: usize) -> Vec<u8> {
    let mut module = String::new();
    for number in 0..count {
        _ = write!(module, "(func (param i64 i64) (result i64) (local.get 0)");
        for step in 1..12 {
            let factor = number * 31 + step;
            _ = write!(
                module,
                "(i64.const {factor}) (i64.mul) (local.tee 0) (local.get 1) (i64.xor)"
            );
        }
        _ = writeln!(module, ")");
    }
    with_module(&module, "")
}

/// A policy with so many functions of nothing, which cost next to nothing.
#[must_use]
pub fn empty_functions(count: usize) -> Vec<u8> {
    with_module(&"(func)".repeat(count), "")
}

/// A policy that traps at once, ten calls deep in functions with names of 50,000 letters
/// that end in what commands a terminal.
#[must_use]
pub fn names() -> Vec<u8> {
    let name = "x".repeat(50_000);
    let mut module = String::from("(func $f0 unreachable)");
    for number in 1..=10 {
        let inner = number - 1;
        _ = write!(
            module,
            "(func $f{number} (@name \"{name}{number}\\1b[31m\\0a\") (call $f{inner}))"
        );
    }
    module.push_str("(start $f10)");
    with_module(&module, "")
}

/// A policy with functions of `tables` jumps that each lead to `targets` places: in a byte
/// or two a jump, so many edges for a compiler to follow. One function with a thousand of
/// each is 2 MiB to upload, 8 seconds of one core and 650 MiB to compile; with 1,900 of each,
/// which is nearly as large as a function may be, 7 MiB, 95 seconds and 2.2 GiB.
#[must_use]
pub fn branches(functions: usize, tables: usize, targets: usize) -> Vec<u8> {
    let labels: String = (0..targets).map(|label| format!("{label} ")).collect();
    let jumps = format!("(block (br_table {labels} (local.get 0)))").repeat(tables);
    // Inside of its own block, the last of the labels is the outermost one.
    let depth = targets.saturating_sub(1);
    let function = format!(
        "(func (param i32) {} {jumps} {})",
        "(block ".repeat(depth),
        ")".repeat(depth)
    );
    with_module(&function.repeat(functions), "")
}

/// A policy of `count` core instances with a memory of `pages` each.
#[must_use]
pub fn memories(count: usize, pages: usize) -> Vec<u8> {
    let more = "(core instance (instantiate $bomb))".repeat(count - 1);
    with_module(&format!("(memory {pages})"), &more)
}

/// A policy of `count` core instances of a module with an empty memory.
#[must_use]
pub fn instances(count: usize) -> Vec<u8> {
    memories(count, 0)
}

/// A policy with components within components, `depth` deep.
#[must_use]
pub fn nesting(depth: usize) -> Vec<u8> {
    const HEAD: &[u8] = b"\0asm\x0d\0\x01\0";
    const COMPONENT_SECTION: u8 = 4;
    // From the innermost outwards; each but the first is the head and the one within it.
    let mut reversed: Vec<u8> = HEAD.iter().rev().copied().collect();
    for level in 0..depth {
        let mut length = reversed.len();
        let mut prefix = vec![COMPONENT_SECTION];
        while length >= 0x80 {
            prefix.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        prefix.push(u8::try_from(length).unwrap());
        reversed.extend(prefix.iter().rev());
        if level + 1 < depth {
            reversed.extend(HEAD.iter().rev());
        }
    }
    let nested = reversed.into_iter().rev();
    super::policy("allow").into_iter().chain(nested).collect()
}

/// The policy that allows everything, with one more core module, instantiated.
fn with_module(module: &str, more: &str) -> Vec<u8> {
    super::assemble(&format!(
        "(component
           (component $Hooks
             (core module $bomb {module})
             (core instance (instantiate $bomb))
             {more}
             (; include calm ;)
             (; include hooks ;))
           (; include end ;))"
    ))
}
