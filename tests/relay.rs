//! A TCP relay that a test puts between a host and what the host connects to, so as to cut them off from one another:
//! in either direction or in both, silently or by ending every connection.

use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What is read at once.
const CHUNK: usize = 64 << 10;

/// The direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From who connects.
    There,
    /// To who connects.
    Back,
}

/// What all connections obey.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    held: [bool; 2],
    /// How often all connections were ended.
    resets: u64,
}

/// A running relay. Dropping it ends all its connections.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    state: watch::Sender<State>,
    accepts: JoinHandle<()>,
}

impl Relay {
    /// Listens on a free port, and leads to `port` of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (state, seen) = watch::channel(State::default());
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let accepts = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(join(client, target, seen.clone()));
            }
        });
        Self {
            port: own,
            state,
            accepts,
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets nothing through in these directions, the ends of connections included; what comes is kept.
    pub fn hold(&self, ways: &[Way]) {
        self.state.send_modify(|state| {
            for way in ways {
                state.held[*way as usize] = true;
            }
        });
    }

    /// Lets everything through again, beginning with what was kept.
    pub fn release(&self) {
        self.state.send_modify(|state| state.held = [false; 2]);
    }

    /// Ends all connections, with what is kept of them.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepts.abort();
        self.reset();
    }
}

/// Carries a connection in both directions until both have ended.
async fn join(client: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    let born = state.borrow_and_update().resets;
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let there = carry(from_client, to_server, state.clone(), Way::There);
    let back = carry(from_server, to_client, state.clone(), Way::Back);
    // What is kept does not pass when a reset and a release are seen at once.
    tokio::select! {
        biased;
        _ = state.wait_for(|state| state.resets != born) => {}
        _ = async { tokio::join!(there, back) } => {}
    }
}

/// Carries what comes in one direction, when it may pass.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    way: Way,
) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        let passes = state
            .wait_for(|state| !state.held[way as usize])
            .await
            .is_ok();
        if !passes || count == 0 {
            let _ = to.shutdown().await;
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::within;
    use std::time::Duration;
    use tokio::time::timeout;

    /// Long enough for bytes to pass that may.
    const A_MOMENT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn what_is_held_passes_later_and_what_is_reset_ends() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let relay = Relay::to(listener.local_addr().unwrap().port()).await;
        let connecting = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port()));
        let mut client = connecting.await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut byte = [0];
        relay.hold(&[Way::There]);
        client.write_all(b"a").await.unwrap();
        server.write_all(b"b").await.unwrap();
        let read = within("the other way is open", client.read(&mut byte));
        assert_eq!((read.await.unwrap(), byte), (1, *b"b"));
        let held = timeout(A_MOMENT, server.read(&mut byte)).await;
        assert!(held.is_err(), "{held:?}");
        relay.release();
        let read = within("what was held comes", server.read(&mut byte));
        assert_eq!((read.await.unwrap(), byte), (1, *b"a"));
        relay.reset();
        let ended = within("it ends", client.read(&mut byte)).await;
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
}
