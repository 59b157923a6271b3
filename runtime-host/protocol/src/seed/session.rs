//! What a session of the original protocol may ask when: a pure step between a message and the node.
//!
//! Such a session has next to no state, so the node keeps it where it keeps its own: [`Session`] borrows it for a
//! message. Time is given in milliseconds since any fixed moment.
//!
//! Absent on purpose: who may do what, and answers, which are the node's.

use super::{Command, ErrorCode, Refused, parse};
use crate::centrifuge::session::{Millis, Pace, Rate, Settings};
use crate::close;

/// What the node keeps of a session.
#[derive(Debug)]
pub struct Session<'s> {
    /// Whether it is somebody: a login was accepted, and is not over.
    pub logged_in: bool,
    /// The longest message that its tenant allows, in bytes.
    pub longest: usize,
    /// The pace of its commands and what it is held to, where its tenant says so.
    pub pace: Option<(&'s mut Rate, &'s Settings)>,
}

/// What follows from a message.
#[derive(Clone, Debug)]
pub enum Step<'a> {
    /// The node carries the command out.
    Act(Command<'a>),
    /// It is answered with this error.
    Refuse(Refused),
    /// The session is over: a close code, and a reason for people.
    Close(u16, &'static str),
}

impl Session<'_> {
    /// A message came.
    pub fn command<'a>(&mut self, message: &'a str, now: Millis) -> Step<'a> {
        let pace = self.pace.as_mut();
        match pace.map_or(Pace::Fine, |(rate, held_to)| rate.pace(now, held_to)) {
            Pace::Fine => self.again(message),
            Pace::Fast => refuse(ErrorCode::Limit, "too many commands a second"),
            Pace::Flood => Step::Close(close::POLICY, "too many commands"),
        }
    }

    /// A message that was put aside until something was decided: it counted when it came.
    #[must_use]
    pub fn again<'a>(&self, message: &'a str) -> Step<'a> {
        match parse(message) {
            Err(refused) => Step::Refuse(refused),
            Ok(login @ Command::Login { .. }) => Step::Act(login),
            Ok(_) if !self.logged_in => refuse(ErrorCode::Unauthorized, "log in first"),
            Ok(Command::Room { msg, .. }) if msg.get().len() > self.longest => {
                let text = "the message is larger than the app allows";
                refuse(ErrorCode::TooLarge, text)
            }
            Ok(command) => Step::Act(command),
        }
    }
}

fn refuse<'a>(code: ErrorCode, text: &'static str) -> Step<'a> {
    let text = text.into();
    Step::Refuse(Refused { code, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: &str = r#"{"command":"login","user":"u"}"#;
    const SAYS: &str = r#"{"command":"room","room":"r","msg":"1234"}"#;

    fn code(step: &Step<'_>) -> Option<ErrorCode> {
        match step {
            Step::Refuse(refused) => Some(refused.code),
            _ => None,
        }
    }

    #[test]
    fn nobody_does_anything_but_log_in() {
        let mut session = Session {
            logged_in: false,
            longest: 6,
            pace: None,
        };
        assert!(matches!(
            session.command(LOGIN, 0),
            Step::Act(Command::Login { .. })
        ));
        let join = r#"{"command":"join","room":"r"}"#;
        let leave = r#"{"command":"leave","room":"r"}"#;
        let ping = r#"{"command":"ping","user":"u"}"#;
        for command in [SAYS, join, leave, ping] {
            let refused = code(&session.command(command, 0));
            assert_eq!(refused, Some(ErrorCode::Unauthorized), "{command}");
        }
        assert_eq!(code(&session.command("{", 0)), Some(ErrorCode::BadJson));
        session.logged_in = true;
        for command in [LOGIN, SAYS, join, leave, ping] {
            assert!(
                matches!(session.command(command, 0), Step::Act(_)),
                "{command}"
            );
        }
    }

    #[test]
    fn a_message_is_as_long_as_the_tenant_allows() {
        let session = |longest| Session {
            logged_in: true,
            longest,
            pace: None,
        };
        assert!(matches!(session(6).command(SAYS, 0), Step::Act(_)));
        assert_eq!(
            code(&session(5).command(SAYS, 0)),
            Some(ErrorCode::TooLarge)
        );
    }

    #[test]
    fn commands_have_a_pace_and_count_once() {
        let held_to = Settings {
            commands_per_second: 1,
            burst: 2,
            ..Settings::default()
        };
        let mut rate = Rate::default();
        let mut at = |now: Millis, again: bool| {
            let mut session = Session {
                logged_in: true,
                longest: 100,
                pace: Some((&mut rate, &held_to)),
            };
            match again {
                true => session.again(SAYS),
                false => session.command(SAYS, now),
            }
        };
        assert!(matches!(at(0, false), Step::Act(_)));
        assert!(matches!(at(0, true), Step::Act(_)), "it was counted");
        assert!(matches!(at(0, false), Step::Act(_)));
        assert_eq!(code(&at(0, false)), Some(ErrorCode::Limit));
        assert!(matches!(at(1_000, false), Step::Act(_)), "a second later");
        assert_eq!(code(&at(1_000, false)), Some(ErrorCode::Limit));
        assert_eq!(code(&at(1_000, false)), Some(ErrorCode::Limit));
        assert!(matches!(at(1_000, false), Step::Close(close::POLICY, _)));
    }
}
