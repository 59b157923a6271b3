//! The server's messages, appended to a buffer without anything allocated in between.

use crate::text::push_string as string;

/// Appends `{"type":"message","data":M,"from":U,"to":R}`.
///
/// `msg_raw` must be a valid JSON text, as [`super::Command::Room`] has it; its bytes are passed on unchanged.
pub fn message(out: &mut Vec<u8>, msg_raw: &str, from: &str, to: &str) {
    out.extend_from_slice(br#"{"type":"message","data":"#);
    out.extend_from_slice(msg_raw.as_bytes());
    out.extend_from_slice(br#","from":"#);
    string(out, from);
    out.extend_from_slice(br#","to":"#);
    string(out, to);
    out.push(b'}');
}

/// Appends `{"type":"presense","data":"online","from":U}`, or with `"offline"`. The type is the seed's spelling.
pub fn presence(out: &mut Vec<u8>, online: bool, user: &str) {
    let state: &[u8] = if online { b"online" } else { b"offline" };
    out.extend_from_slice(br#"{"type":"presense","data":""#);
    out.extend_from_slice(state);
    out.extend_from_slice(br#"","from":"#);
    string(out, user);
    out.push(b'}');
}

/// Appends `{"type":"login","data":"ok","user":U,"rooms":[…]}`.
pub fn login_ok<'r>(out: &mut Vec<u8>, user: &str, rooms: impl IntoIterator<Item = &'r str>) {
    out.extend_from_slice(br#"{"type":"login","data":"ok","user":"#);
    string(out, user);
    out.extend_from_slice(br#","rooms":["#);
    for (index, room) in rooms.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, room);
    }
    out.extend_from_slice(b"]}");
}

/// `{"type":"room","data":"add"|"remove","room":R}`: the session hears a room from now on, or no more.
pub fn membership(out: &mut Vec<u8>, added: bool, room: &str) {
    out.extend_from_slice(if added {
        br#"{"type":"room","data":"add","room":"#
    } else {
        br#"{"type":"room","data":"remove","room":"#
    });
    string(out, room);
    out.push(b'}');
}

/// Appends `{"type":"error","code":C,"data":text}`. `code` is [`super::ErrorCode::as_str`] or a policy's own.
pub fn error(out: &mut Vec<u8>, code: &str, text: &str) {
    out.extend_from_slice(br#"{"type":"error","code":"#);
    string(out, code);
    out.extend_from_slice(br#","data":"#);
    string(out, text);
    out.push(b'}');
}

/// Appends a message as [`super::Format::Text`] has it: a JSON string is unescaped, any other value stays JSON text.
///
/// What is appended is UTF-8: half a surrogate pair, which JSON can write and UTF-8 cannot, becomes U+FFFD.
pub fn message_text(out: &mut Vec<u8>, msg_raw: &str) {
    let quoted = msg_raw.strip_prefix('"');
    match quoted.and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => unescape(out, inner),
        None => out.extend_from_slice(msg_raw.as_bytes()),
    }
}

/// Appends what is inside the quotes of a JSON string.
fn unescape(out: &mut Vec<u8>, inner: &str) {
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        let (character, size) = escaped(escape.as_bytes());
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escape.get(size..).unwrap_or_default();
    }
    out.extend_from_slice(rest.as_bytes());
}

/// The character that the bytes after a backslash stand for, and how many of them.
fn escaped(escape: &[u8]) -> (char, usize) {
    let simple = match escape.first() {
        Some(b'u') => return unicode(escape),
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
        // Not JSON.
        _ => return (char::REPLACEMENT_CHARACTER, 0),
    };
    (simple, 1)
}

/// The character of `uXXXX`, or of `uXXXX\uXXXX` where these are a surrogate pair.
fn unicode(escape: &[u8]) -> (char, usize) {
    let Some(first) = unit(escape) else {
        return (char::REPLACEMENT_CHARACTER, 1);
    };
    if let Some(character) = char::from_u32(first) {
        return (character, 5);
    }
    if let (0xd800..0xdc00, Some(b'\\')) = (first, escape.get(5))
        && let Some(second @ 0xdc00..0xe000) = unit(&escape[6..])
        && let Some(character) =
            char::from_u32(0x10000 + ((first - 0xd800) << 10) + second - 0xdc00)
    {
        return (character, 11);
    }
    (char::REPLACEMENT_CHARACTER, 5)
}

/// The number of `uXXXX` at the front.
fn unit(escape: &[u8]) -> Option<u32> {
    let digits = escape.strip_prefix(b"u")?.first_chunk::<4>()?;
    let mut value = 0;
    for digit in digits {
        value = value << 4 | char::from(*digit).to_digit(16)?;
    }
    Some(value)
}
