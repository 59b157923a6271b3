//! Calls of clients.
//!
//! | method | what it answers |
//! |---|---|
//! | `echo` | who calls, and with what |
//! | `refuse` | a refusal whose code is the text given |
//! | `long` | a text that is JSON of as many bytes as the number given |
//! | `lines` | what it is given, in many lines |
//! | `record` | whether there is a record at the key given |
//! | any mode | what that answers to a hook |

use crate::answers::Answer;
use crate::exports::sschat::policy::calls::{Identity, Refusal};
use crate::order::{Hook, Order, is_mode};
use crate::sschat::policy::state;
use serde_json::{Value, json};

/// Answers a call.
pub(crate) fn answer(who: &Identity, method: &str, data: &str) -> Result<String, Refusal> {
    let given: Value = serde_json::from_str(data).unwrap_or_else(|it| panic!("{it}"));
    match method {
        "echo" => {
            let who = json!({"tenant": who.tenant, "user": who.user});
            Ok(json!({"who": who, "data": given}).to_string())
        }
        "refuse" => {
            let code = given.as_str().unwrap_or_default();
            Answer::deny(code, format!("told to refuse by {code}")).spoken()
        }
        "long" => {
            let bytes = given.as_u64().and_then(|it| usize::try_from(it).ok());
            Ok(format!("\"{}\"", "x".repeat(bytes.unwrap_or(2) - 2)))
        }
        "lines" => Ok(format!("\n[\r\n{data}\n]\n")),
        "record" => {
            let key = given.as_str().unwrap_or_default().to_owned();
            let there = state::get_many(&[key]).is_ok_and(|it| matches!(&it[..], [Some(_)]));
            Ok(there.to_string())
        }
        mode if is_mode(mode) => crate::obey(&Order::of(Hook::Call, who, mode)).spoken(),
        _ => Answer::deny("method_not_found", format!("nothing called {method:?}")).spoken(),
    }
}
