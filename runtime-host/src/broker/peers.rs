//! What the hosts of one broker ask each other. Bytes: what they mean is for who asks and who answers.

use bytes::Bytes;
use futures::future::BoxFuture;

/// How hosts are reached.
///
/// At most once: a question that was not answered may have been understood or not.
pub trait Peers: Send + Sync + 'static {
    /// Asks every other host. Ends when all that the question reached have answered, or after three seconds.
    fn ask_all(&self, question: Bytes) -> BoxFuture<'static, Answers>;

    /// Asks the host of that name. Ends as [`Peers::ask_all`] does.
    fn ask(&self, host: &str, question: Bytes) -> BoxFuture<'static, Result<Bytes, Silence>>;

    /// Who answers what others ask this host, once and for all. Until then it answers nothing, with no bytes.
    fn answer_with(&self, answering: Box<dyn Answering>);
}

/// Answers what other hosts ask.
pub trait Answering: Send + Sync + 'static {
    /// The answer.
    fn answer(&self, question: Bytes) -> BoxFuture<'static, Bytes>;
}

/// What all the others say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// In no order.
    pub answers: Vec<Bytes>,
    /// Hosts that the question reached, and that have not answered in time.
    pub silent: usize,
    /// Hosts that were there within the lease of presence, but which the question did not reach: they are gone, or cut
    /// off.
    pub absent: usize,
}

/// Why a host gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// There is no such host.
    Absent,
    /// It has not answered in time, or nobody could be asked.
    Silent,
}
