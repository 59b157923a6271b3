//! Any bytes are commands or a refusal, and what is written of them is read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sschat_protocol::centrifuge::{Commands, Format};

fuzz_target!(|frame: &[u8]| {
    for format in [Format::Json, Format::Protobuf] {
        for command in Commands::new(format, frame) {
            let Ok(command) = command else {
                continue;
            };
            let mut written = Vec::new();
            command.encode(format, &mut written);
            // Payloads lose line breaks between their tokens when they are written, and nothing after that.
            let Some(Ok(again)) = Commands::new(format, &written).next() else {
                panic!("{command:?} is not read again");
            };
            let mut rewritten = Vec::new();
            again.encode(format, &mut rewritten);
            assert_eq!(written, rewritten);
        }
    }
});
