//! Questions between hosts, over channels of Redis.
//!
//! All hosts listen to one channel, and each to one by its name. Redis says how many a question reached: so many
//! answers are waited for.

use super::link::{ANSWER_TIMEOUT, Link};
use super::{Shared, calls, locked};
use crate::broker::Mail;
use crate::broker::peers::{Answering, Answers, Peers, Silence};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use redis::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

/// Where all hosts listen.
pub(super) const ALL: &str = "sschat-ask";

/// Questions of this host that wait for answers, at most.
const ASKED_LIMIT: usize = 4_096;

/// Questions of others that are being answered, at most: those beyond wait for as long as who asks does.
const ANSWERED_LIMIT: usize = 1_024;

/// A question begins with this, an answer with that; then comes the question's number.
const QUESTION: u8 = b'?';
const ANSWER: u8 = b'!';

/// Hexadecimal digits of a question's number.
const DIGITS: usize = 16;

/// The longest name of a host: what a client shows as one goes no further.
const NAME_LIMIT: usize = 64;

/// Questions on their way.
pub(super) struct Asking {
    asked: Mutex<HashMap<u64, mpsc::UnboundedSender<Bytes>>>,
    answering: OnceLock<Box<dyn Answering>>,
    answered: Semaphore,
}

impl Default for Asking {
    fn default() -> Self {
        Self {
            asked: Mutex::default(),
            answering: OnceLock::new(),
            answered: Semaphore::new(ANSWERED_LIMIT),
        }
    }
}

/// The channel of one host.
pub(super) fn channel_of(host: &str) -> String {
    format!("{ALL}/{host}")
}

/// What comes by these channels.
#[derive(Debug, PartialEq, Eq)]
enum Letter<'a> {
    Question {
        number: u64,
        from: &'a str,
        text: &'a [u8],
    },
    Answer {
        number: u64,
        text: &'a [u8],
    },
}

impl<'a> Letter<'a> {
    fn write(&self) -> Vec<u8> {
        match self {
            Self::Question { number, from, text } => {
                let head = format!("?{number:0DIGITS$x}{from}\n");
                [head.as_bytes(), text].concat()
            }
            Self::Answer { number, text } => {
                let head = format!("!{number:0DIGITS$x}");
                [head.as_bytes(), text].concat()
            }
        }
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (digits, rest) = rest.split_at_checked(DIGITS)?;
        let number = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        match *kind {
            QUESTION => {
                let end = rest.iter().position(|byte| *byte == b'\n')?;
                let from = std::str::from_utf8(&rest[..end]).ok()?;
                let text = &rest[end + 1..];
                Some(Self::Question { number, from, text })
            }
            ANSWER => Some(Self::Answer { number, text: rest }),
            _ => None,
        }
    }
}

/// A question that waits for answers, until it is dropped.
struct Asked<M: Mail> {
    shared: Arc<Shared<M>>,
    number: u64,
    answers: mpsc::UnboundedReceiver<Bytes>,
}

impl<M: Mail> Asked<M> {
    fn begin(shared: &Arc<Shared<M>>) -> Option<Self> {
        let number = calls::random();
        let (sender, answers) = mpsc::unbounded_channel();
        let mut asked = locked(&shared.asking.asked);
        if asked.len() >= ASKED_LIMIT {
            return None;
        }
        asked.insert(number, sender);
        drop(asked);
        let shared = Arc::clone(shared);
        Some(Self {
            shared,
            number,
            answers,
        })
    }
}

impl<M: Mail> Drop for Asked<M> {
    fn drop(&mut self) {
        locked(&self.shared.asking.asked).remove(&self.number);
    }
}

impl<M: Mail> Shared<M> {
    /// Listens to both channels from when this ends.
    pub(super) async fn listen(&self, link: &Link) -> Result<(), super::link::Failed> {
        link.hear("SUBSCRIBE", ALL).await?;
        link.hear("SUBSCRIBE", &channel_of(&self.name)).await
    }

    /// Something came by one of them.
    pub(super) fn asked(self: &Arc<Self>, message: &[u8]) {
        match Letter::read(message) {
            Some(Letter::Answer { number, text }) => {
                if let Some(asked) = locked(&self.asking.asked).get(&number) {
                    // Who asked may have given up.
                    let _ = asked.send(Bytes::copy_from_slice(text));
                }
            }
            Some(Letter::Question { from, .. }) if *from == *self.name => {}
            Some(Letter::Question { number, from, text }) => {
                let (from, text) = (from.to_owned(), Bytes::copy_from_slice(text));
                let shared = Arc::clone(self);
                self.runtime.spawn(async move {
                    let until = Instant::now() + ANSWER_TIMEOUT;
                    let answering = shared.answer(number, &from, text);
                    // Later, nobody waits for it any more.
                    let _ = timeout_at(until, answering).await;
                });
            }
            None => tracing::warn!(redis = %self.address, "a question that nobody understands"),
        }
    }

    async fn answer(&self, number: u64, from: &str, question: Bytes) {
        let Ok(_permit) = self.asking.answered.acquire().await else {
            return;
        };
        let answer = match self.asking.answering.get() {
            Some(answering) => answering.answer(question).await,
            None => Bytes::new(),
        };
        let text = &answer[..];
        let letter = Letter::Answer { number, text }.write();
        let mut command = redis::cmd("PUBLISH");
        command.arg(channel_of(from)).arg(letter);
        let link = self.link.borrow().clone();
        if let Some(link) = link
            && link.call(&command).await.is_err()
        {
            tracing::debug!(host = from, "an answer that could not be sent");
        }
    }

    /// Asks one host or all others. How many it reached, if that is known, and their answers.
    async fn put(self: Arc<Self>, to: Option<String>, text: Bytes) -> (Option<usize>, Vec<Bytes>) {
        let Some(mut asked) = Asked::begin(&self) else {
            return (None, Vec::new());
        };
        let channel = to.as_deref().map_or(ALL.to_owned(), channel_of);
        let (number, from) = (asked.number, &*self.name);
        let text = &text[..];
        let letter = Letter::Question { number, from, text }.write();
        let mut command = redis::cmd("PUBLISH");
        command.arg(channel).arg(letter);
        let Ok(Value::Int(reached)) = self.run(&command).await else {
            return (None, Vec::new());
        };
        let itself = usize::from(to.is_none());
        let reached = usize::try_from(reached).unwrap_or(0).saturating_sub(itself);
        let until = Instant::now() + ANSWER_TIMEOUT;
        let mut answers = Vec::new();
        while answers.len() < reached {
            match timeout_at(until, asked.answers.recv()).await {
                Ok(Some(answer)) => answers.push(answer),
                Ok(None) | Err(_) => break,
            }
        }
        (Some(reached), answers)
    }
}

/// The other hosts on the same Redis.
pub(super) struct Others<M: Mail>(pub(super) Arc<Shared<M>>);

impl<M: Mail> Peers for Others<M> {
    fn ask_all(&self, question: Bytes) -> BoxFuture<'static, Answers> {
        let shared = Arc::clone(&self.0);
        let putting = shared
            .runtime
            .spawn(Arc::clone(&shared).put(None, question));
        async move {
            let (reached, answers) = putting.await.unwrap_or_default();
            let peers = shared.presence.peers();
            // Where Redis is out of reach nobody knows who is there.
            let silent = reached.map_or(peers.max(1), |reached| reached - answers.len());
            Answers {
                silent,
                absent: peers.saturating_sub(answers.len() + silent),
                answers,
            }
        }
        .boxed()
    }

    fn ask(&self, host: &str, question: Bytes) -> BoxFuture<'static, Result<Bytes, Silence>> {
        let named = (1..=NAME_LIMIT).contains(&host.len())
            && host.bytes().all(|byte| byte.is_ascii_graphic());
        if !named {
            return std::future::ready(Err(Silence::Absent)).boxed();
        }
        let shared = Arc::clone(&self.0);
        let putting = self
            .0
            .runtime
            .spawn(shared.put(Some(host.to_owned()), question));
        async move {
            match putting.await.unwrap_or_default() {
                (Some(0), _) => Err(Silence::Absent),
                (_, answers) => answers.into_iter().next().ok_or(Silence::Silent),
            }
        }
        .boxed()
    }

    fn answer_with(&self, answering: Box<dyn Answering>) {
        // The first one stays.
        let _ = self.0.asking.answering.set(answering);
    }
}

#[cfg(test)]
mod tests {
    use super::Letter;

    #[test]
    fn letters_are_read_as_they_were_written() {
        let text = &b"\n!what?"[..];
        for letter in [
            Letter::Question {
                number: u64::MAX,
                from: "a-host",
                text,
            },
            Letter::Question {
                number: 0,
                from: "",
                text: b"",
            },
            Letter::Answer { number: 7, text },
        ] {
            assert_eq!(Letter::read(&letter.write()), Some(letter));
        }
        for wrong in [
            &b""[..],
            b"?",
            b"?000000000000000",
            b"?000000000000000g\n",
            b"?0000000000000000without an end",
            b"?0000000000000000\xff\n",
            b"#0000000000000000\n",
        ] {
            assert_eq!(Letter::read(wrong), None);
        }
    }
}
