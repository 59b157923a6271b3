//! The component's side of the WIT package: arguments in, decisions out.

// The bindings are generated.
#[allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::mem_forget
)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "sschat:policy/policy",
    });
    use super::Moderation;
    export!(Moderation);
}

use crate::{Verdict, judge};
use bindings::exports::sschat::policy::hooks;
use bindings::sschat::policy::{configuration, payload};

struct Moderation;

impl hooks::Guest for Moderation {
    fn on_login(_who: hooks::Identity) -> hooks::LoginDecision {
        hooks::LoginDecision {
            verdict: hooks::LoginVerdict::Allow(hooks::Refinement {
                expires: None,
                may_publish: true,
            }),
            until: None,
        }
    }

    fn on_join(_who: hooks::Identity, rooms: Vec<String>) -> Vec<hooks::Decision> {
        allow_each(&rooms)
    }

    fn on_publish(_who: hooks::Identity, _room: String) -> hooks::PublishDecision {
        let verdict = match judge(configuration::get().as_deref(), payload::get) {
            Verdict::Allow => hooks::PublishVerdict::Allow,
            Verdict::Rewrite(message) => hooks::PublishVerdict::Rewrite(message),
            Verdict::Deny(refusal) => hooks::PublishVerdict::Deny(hooks::Refusal {
                code: refusal.code.to_owned(),
                reason: refusal.reason,
            }),
        };
        // No time comes into it: it holds until the configuration changes.
        hooks::PublishDecision {
            verdict,
            until: None,
        }
    }

    fn on_presence(_who: hooks::Identity, rooms: Vec<String>) -> Vec<hooks::Decision> {
        allow_each(&rooms)
    }
}

fn allow_each(rooms: &[String]) -> Vec<hooks::Decision> {
    let allow = hooks::Decision {
        verdict: hooks::Verdict::Allow,
        until: None,
    };
    vec![allow; rooms.len()]
}
