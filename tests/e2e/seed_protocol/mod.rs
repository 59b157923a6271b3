//! `/websocket/polling`: the seed's protocol, its further goals included.

mod login;
mod messages;
mod presence;
mod transcripts;

use sschat_tests::chat::POLLING;
use sschat_tests::{Chat, Host};

async fn text_output(host: &Host) -> Chat {
    Chat::open(host.address(), &format!("{POLLING}?format=text"), &[])
        .await
        .unwrap()
}
