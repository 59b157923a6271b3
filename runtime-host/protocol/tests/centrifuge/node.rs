//! A session and a node that answers by the names it is given, always the same.

use sschat_protocol::centrifuge::{
    ClientInfo, Command, Commands, Connected, Disconnect, Failure, Format, Payload, Publication,
    Push, Reply, Request, Subscription,
    recovery::Position,
    session::{Due, Millis, Session, Settings, Step},
};

/// What the channels hold: three publications of the epoch `e1`.
pub(crate) fn history() -> [Publication<'static>; 3] {
    let publication = |data: &'static str, offset| Publication {
        data: Payload::Whole(data.as_bytes()),
        offset,
        ..Publication::default()
    };
    [
        publication(r#"{"n":1}"#, 1),
        publication("\"zwei\\n\"", 2),
        publication("[3,\n3.5]", 3),
    ]
}

const INFO: ClientInfo<'static> = ClientInfo {
    user: "user_1",
    client: "c1",
    conn_info: br#"{"name":"Ann"}"#,
    chan_info: b"",
};

pub(crate) struct Talk {
    pub(crate) session: Session,
    pub(crate) settings: Settings,
    pub(crate) now: Millis,
    pub(crate) closed: Option<Disconnect>,
    /// What the session said, a frame for each call.
    pub(crate) said: Vec<Vec<u8>>,
}

impl Talk {
    pub(crate) fn new(format: Format, settings: Settings) -> Self {
        Self {
            session: Session::new(format, 0, &settings, 0),
            settings,
            now: 0,
            closed: None,
            said: Vec::new(),
        }
    }

    /// A JSON session with the default settings that is connected.
    pub(crate) fn connected() -> Self {
        let mut talk = Self::new(Format::Json, Settings::default());
        talk.frame(br#"{"id":1,"connect":{}}"#);
        assert!(talk.session.is_connected());
        talk.said.clear();
        talk
    }

    /// A frame comes in, and every command that is in order is carried out at once.
    pub(crate) fn frame(&mut self, frame: &[u8]) {
        let mut out = Vec::new();
        for command in Commands::new(self.session.format(), frame) {
            let step = match command {
                Ok(command) => self
                    .session
                    .command(self.now, &self.settings, command, &mut out),
                Err(malformed) => Step::Close(malformed.disconnect()),
            };
            let ended = match step {
                Step::Done => Ok(()),
                Step::Act(command) => self.act(&command, &mut out),
                Step::Close(disconnect) => Err(disconnect),
            };
            if let Err(disconnect) = ended {
                self.closed = Some(disconnect);
                break;
            }
        }
        self.say(out);
    }

    /// JSON lines come in as one frame; what is said, as lines.
    pub(crate) fn lines(&mut self, frame: &str) -> Vec<String> {
        self.frame(frame.as_bytes());
        let said = std::mem::take(&mut self.said);
        let text = |frame: Vec<u8>| String::from_utf8(frame).unwrap();
        said.into_iter()
            .map(text)
            .flat_map(|frame| frame.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// The code that the session ended with.
    pub(crate) fn code(&self) -> Option<u16> {
        self.closed.as_ref().map(|it| it.code)
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, until: Millis) -> Vec<Box<str>> {
        self.now = until;
        let mut out = Vec::new();
        let mut left = Vec::new();
        loop {
            match self.session.tick(until, &self.settings, &mut out) {
                Due::Nothing => break,
                Due::Unsubscribe(channel) => left.push(channel),
                Due::Close(disconnect) => {
                    self.closed = Some(disconnect);
                    break;
                }
            }
        }
        self.say(out);
        left
    }

    fn say(&mut self, out: Vec<u8>) {
        if !out.is_empty() {
            self.said.push(out);
        }
    }

    fn act(&mut self, command: &Command<'_>, out: &mut Vec<u8>) -> Result<(), Disconnect> {
        let (now, settings, id) = (self.now, self.settings.clone(), command.id);
        let session = &mut self.session;
        match &command.request {
            Request::Connect(it) => match it.token.as_ref() {
                "forged" => return Err(Disconnect::INVALID_TOKEN),
                "expired" => session.refused(id, &Failure::TOKEN_EXPIRED, out),
                token => {
                    let resumed = it.subs.first();
                    let held = history();
                    let since = resumed.map_or(0, |sub| sub.offset);
                    let position = Position {
                        epoch: resumed.map_or("", |sub| &sub.epoch),
                        offset: since,
                    };
                    let missed = &held[usize::try_from(since.min(3)).unwrap()..];
                    let sub = Subscription::recovering(position, "e1", 3, missed);
                    let grant = Connected {
                        client: "c1",
                        version: "0.1.0",
                        expires: token == "expiring",
                        ttl: if token == "expiring" { 60 } else { 0 },
                        data: it.data,
                        subs: if token == "member" {
                            &[("room_1", sub)]
                        } else {
                            &[]
                        },
                        ..Connected::default()
                    };
                    session.connected(now, &settings, id, &grant, out)?;
                }
            },
            Request::Subscribe(it) => match it.channel.as_ref() {
                "closed" => session.refused(id, &Failure::PERMISSION_DENIED, out),
                channel => {
                    let held = history();
                    let missed = &held[usize::try_from(it.offset.min(3)).unwrap()..];
                    let position = Position {
                        epoch: &it.epoch,
                        offset: it.offset,
                    };
                    let mut result = Subscription::recovering(position, "e1", 3, missed);
                    if !it.recover {
                        result = Subscription {
                            recoverable: true,
                            positioned: true,
                            epoch: "e1",
                            offset: 3,
                            ..Subscription::default()
                        };
                    }
                    result.expires = channel == "short";
                    result.ttl = if channel == "short" { 30 } else { 0 };
                    session.subscribed(now, &settings, id, &result, out);
                }
            },
            Request::Refresh(it) if it.token == "forged" => return Err(Disconnect::INVALID_TOKEN),
            Request::Refresh(_) => session.refreshed(now, &settings, id, Some(60), out),
            Request::SubRefresh(it) if it.token == "expired" => {
                session.refused(id, &Failure::TOKEN_EXPIRED, out);
            }
            Request::SubRefresh(it) => {
                session.sub_refreshed(now, &settings, (id, &it.channel), Some(30), out);
            }
            Request::Send(it) => session.message(it.data, out),
            Request::Publish(it) => {
                session.replied(id, &Reply::Publish(Some((4, "e1"))), out);
                let publication = Publication {
                    data: Payload::Whole(it.data),
                    info: Some(INFO),
                    offset: 4,
                    tags: &[("kind".into(), "news".into())],
                    ..Publication::default()
                };
                session.format().separate(out);
                Push::Publication(&publication).encode(session.format(), &it.channel, out);
            }
            request => Self::look_up(session, id, request, out),
        }
        Ok(())
    }

    fn look_up(session: &mut Session, id: u32, request: &Request<'_>, out: &mut Vec<u8>) {
        match request {
            Request::Presence(_) => session.replied(id, &Reply::Presence(&[INFO]), out),
            Request::PresenceStats(_) => {
                let stats = Reply::PresenceStats {
                    clients: 1,
                    users: 1,
                };
                session.replied(id, &stats, out);
            }
            Request::History(it) if it.since.as_ref().is_some_and(|it| it.offset > 3) => {
                session.refused(id, &Failure::UNRECOVERABLE_POSITION, out);
            }
            Request::History(it) => {
                let limit = usize::try_from(it.limit).unwrap_or(3).min(3);
                let reply = Reply::History {
                    publications: &history()[..limit],
                    epoch: "e1",
                    offset: 3,
                };
                session.replied(id, &reply, out);
            }
            Request::Rpc(it) if it.method.is_empty() => {
                session.refused(id, &Failure::METHOD_NOT_FOUND, out);
            }
            Request::Rpc(it) => session.replied(id, &Reply::Rpc(it.data), out),
            _ => {}
        }
    }
}
