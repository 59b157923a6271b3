//! A REST component that misbehaves as the last segment of the path tells it to.

use spin_sdk::http::{IntoResponse, Request, StatusCode};
use spin_sdk::http_service;
use spin_sdk::key_value::Store;

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let path = request.uri().path();
    match path.rsplit('/').next().unwrap_or_default() {
        "ok" => (StatusCode::OK, "ok".to_owned()),
        "trap" => panic!("told to trap"),
        "loop" => endless(),
        "memory" => (StatusCode::OK, grow()),
        "large" => (StatusCode::OK, "x".repeat(16 << 20)),
        "stack" => (StatusCode::OK, descend(0).to_string()),
        "print" => {
            println!("a line on standard output");
            eprintln!("a line on standard error");
            (StatusCode::OK, "printed".to_owned())
        }
        "ungranted" => match Store::open("secrets").await {
            Ok(_) => (StatusCode::OK, "opened".to_owned()),
            Err(error) => (StatusCode::FORBIDDEN, format!("{error:?}")),
        },
        other => (StatusCode::NOT_FOUND, format!("nothing called {other:?}")),
    }
}

fn endless() -> ! {
    println!("round and round");
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn grow() -> String {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        held.push(std::hint::black_box(vec![1; 1 << 20]));
        if held.len() > 1 << 12 {
            return format!("held {} MiB", held.len());
        }
    }
}

// What is under test is that the host ends it.
#[expect(unconditional_recursion)]
fn descend(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    descend(depth + 1) + frame[7]
}
