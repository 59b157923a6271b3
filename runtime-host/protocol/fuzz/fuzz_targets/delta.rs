//! A delta of two texts is a text, and shorter than the second. The byte 0 parts them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sschat_protocol::centrifuge::delta::create;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
        return;
    };
    if let Some(delta) = create(source, target) {
        assert!(delta.len() < target.len());
        assert!(str::from_utf8(target).is_err() || str::from_utf8(&delta).is_ok());
    }
});
