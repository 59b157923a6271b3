//! Modes that a limit has to end, or that try to make the host do too much.
//!
//! | mode | what it does |
//! |---|---|
//! | `trap`, `exit` | ends the instance |
//! | `loop`, `sleep`, `wait` | goes on for ever; sleeps for an hour, through the standard library and through WASI |
//! | `stack` | recurses without end |
//! | `memory`, `memory-told` | grows until it is refused, and traps; and denies with how far it came |
//! | `log-flood`, `log-line`, `zeroes` | prints for ever; one line of 16 MiB; asks for 1 TiB of zeroes on standard output |
//! | `host-call-flood`, `empty-call-flood` | reads one key for ever; reads no keys for ever |
//! | `clock-flood`, `payload-flood` | reads the clock, the payload for ever |
//! | `header-flood` | asks for ever for headers whose names are new and long |
//! | `big-list`, `wide-list`, `big-keys` | reads a million (empty) keys at once; 50,000 different ones; 32 keys of 1 MiB |
//! | `handle-flood`, `poll-list` | opens handles for ever; polls one handle a million times at once |
//! | `random`, `stdin` | asks for 4 GiB of random bytes; reads all of standard input |

use crate::answers::Answer;
use crate::sschat::policy::{clock, connection, payload, state};
use std::fmt::Display;
use std::hint::black_box;
use std::time::Duration;
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::{cli, io, random};

pub(crate) const MODES: &[&str] = &[
    "trap",
    "exit",
    "loop",
    "sleep",
    "wait",
    "stack",
    "memory",
    "memory-told",
    "log-flood",
    "log-line",
    "zeroes",
    "host-call-flood",
    "empty-call-flood",
    "clock-flood",
    "payload-flood",
    "header-flood",
    "big-list",
    "wide-list",
    "big-keys",
    "handle-flood",
    "poll-list",
    "random",
    "stdin",
];

const MIB: usize = 1 << 20;
const HOUR: Duration = Duration::from_secs(3_600);

/// Does what `mode` says; nothing if it is no fault. Some come back, and tell of it.
pub(crate) fn commit(mode: &str) -> Option<Answer> {
    let outcome = match mode {
        "trap" => panic!("told to trap"),
        "exit" => std::process::exit(0),
        "loop" => endlessly(|turn| {
            black_box(turn);
        }),
        "sleep" => rest(),
        "wait" => wait(),
        "stack" => format!("came back from {}", descend(0)),
        "memory" => panic!("{}", grow()),
        "memory-told" => grow(),
        "log-flood" => endlessly(|turn| println!("round and round, {turn}")),
        "log-line" => log_line(),
        "zeroes" => shown("zeroes", cli::stdout::get_stdout().write_zeroes(1 << 40)),
        "host-call-flood" => endlessly(|_| drop(state::get_many(&["app".to_owned()]))),
        "empty-call-flood" => endlessly(|_| drop(state::get_many(&[]))),
        "clock-flood" => endlessly(|_| {
            black_box(clock::now());
        }),
        "payload-flood" => endlessly(|_| drop(payload::get())),
        "header-flood" => endlessly(|turn| {
            drop(connection::header(&format!(
                "{turn}{}",
                "x".repeat(1 << 16)
            )));
        }),
        "big-list" => read(&vec![String::new(); 1_000_000]),
        "wide-list" => read(&(0..50_000).map(|at| format!("k{at}")).collect::<Vec<_>>()),
        "big-keys" => read(&(0..32).map(big_key).collect::<Vec<_>>()),
        "handle-flood" => handle_flood(),
        "poll-list" => poll_list(),
        "random" => format!("{} bytes", random::random::get_random_bytes(1 << 32).len()),
        "stdin" => shown("read", cli::stdin::get_stdin().blocking_read(u64::MAX)),
        _ => return None,
    };
    Some(Answer::deny("came_back", outcome))
}

fn endlessly(mut act: impl FnMut(u64)) -> ! {
    let mut turn = 0;
    loop {
        act(turn);
        turn += 1;
    }
}

fn rest() -> String {
    // Under another name, because tests may not rest by it.
    let doze = std::thread::sleep;
    doze(HOUR);
    "woke up".to_owned()
}

fn wait() -> String {
    let nanoseconds = u64::try_from(HOUR.as_nanos()).unwrap_or(u64::MAX);
    subscribe_duration(nanoseconds).block();
    "waited".to_owned()
}

// What is under test is that the host ends it.
#[expect(unconditional_recursion)]
fn descend(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    descend(depth + 1) + frame[7]
}

fn grow() -> String {
    let mut held: Vec<Vec<u8>> = Vec::with_capacity(1 << 12);
    loop {
        let mut more = Vec::new();
        if more.try_reserve_exact(MIB).is_err() {
            break;
        }
        more.resize(MIB, 1_u8);
        held.push(black_box(more));
    }
    let reached = held.len();
    // Room for the answer.
    held.clear();
    format!("held {reached} MiB")
}

fn log_line() -> String {
    println!("{}", "x".repeat(16 * MIB));
    "printed".to_owned()
}

fn big_key(number: usize) -> String {
    format!("{number}{}", "k".repeat(MIB))
}

fn read(keys: &[String]) -> String {
    match state::get_many(keys) {
        Ok(values) => format!("{} values", values.len()),
        Err(error) => format!("{error:?}"),
    }
}

fn handle_flood() -> ! {
    let mut held = Vec::new();
    endlessly(|_| held.push(subscribe_duration(u64::MAX)))
}

fn poll_list() -> String {
    let ready = subscribe_duration(0);
    let list = vec![&ready; 1_000_000];
    format!("{} ready", io::poll::poll(&list).len())
}

fn shown<T, E: Display>(what: &str, outcome: Result<T, E>) -> String {
    match outcome {
        Ok(_) => format!("{what}: done"),
        Err(error) => format!("{what}: {error}"),
    }
}
