//! REST calls to a host, and what its refusals mean for the one who called.

use super::Failure;
use super::target::Target;
use serde_json::Value;
use std::time::Duration;

/// How long the host has to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long an upload may take: 32 MiB over a slow line, and its compilation.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(300);

/// The largest answer that is read: a page of a thousand ids is 50 KiB, a configuration 64.
const ANSWER_LIMIT: u64 = 16 << 20;

/// The most ids of a page.
const PAGE: u16 = 1_000;

/// Calls one host.
pub(in crate::cli) struct Client {
    target: Target,
    agent: ureq::Agent,
    with_key: bool,
}

/// An answer, good or bad.
pub(in crate::cli) struct Answer {
    pub(in crate::cli) status: u16,
    pub(in crate::cli) body: String,
    retry_after: Option<String>,
}

impl Client {
    /// A client that presents the target's API key, which is asked for where it is missing.
    pub(in crate::cli) fn new(target: Target) -> Result<Self, Failure> {
        target.key()?;
        Ok(Self::with(target, true))
    }

    /// A client without a key.
    pub(in crate::cli) fn anonymous(target: Target) -> Self {
        Self::with(target, false)
    }

    fn with(target: Target, with_key: bool) -> Self {
        let tls = match target.url.starts_with("https:") {
            true => super::dial::for_rest(),
            false => ureq::tls::TlsConfig::default(),
        };
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            // A redirect would take the key to another host.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("sschat/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            target,
            agent: ureq::Agent::new_with_config(config),
            with_key,
        }
    }

    pub(in crate::cli) fn target(&self) -> &Target {
        &self.target
    }

    /// One call; its answer, whatever it is. `headers` beside the key.
    pub(in crate::cli) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, Failure> {
        let url = format!("{}{path}", self.target.url);
        let mut request = ureq::http::Request::builder().method(method).uri(&url);
        if self.with_key {
            request = request.header("X-API-Key", self.target.key()?.expose());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let wrong = |error: ureq::http::Error| Failure::Usage(format!("{path}: {error}"));
        let sent = match body {
            None => self.agent.run(request.body(()).map_err(wrong)?),
            Some(body) => {
                let request = request.body(body).map_err(wrong)?;
                let request = self.agent.configure_request(request);
                let patient = request.timeout_global(Some(UPLOAD_PATIENCE)).build();
                self.agent.run(patient)
            }
        };
        let mut response = sent.map_err(|error| self.unreachable(&error))?;
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| value.to_str().ok());
        let retry_after = retry_after.map(str::to_owned);
        let status = response.status().as_u16();
        let read = response.body_mut().with_config().limit(ANSWER_LIMIT);
        Ok(Answer {
            status,
            retry_after,
            body: read
                .read_to_string()
                .map_err(|error| self.unreachable(&error))?,
        })
    }

    /// One call that is to succeed; its JSON.
    pub(in crate::cli) fn call(&self, method: &str, path: &str) -> Result<Value, Failure> {
        self.call_with(method, path, &[], None)
    }

    /// As [`Client::call`], with headers and a body.
    pub(in crate::cli) fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Value, Failure> {
        let answer = self.send(method, path, headers, body)?;
        self.accept(&answer)
    }

    /// The JSON of an answer that succeeded, or why it did not.
    pub(in crate::cli) fn accept(&self, answer: &Answer) -> Result<Value, Failure> {
        let url = &self.target.url;
        let parsed: Result<Value, _> = serde_json::from_str(&answer.body);
        let Ok(body) = parsed else {
            return Err(Failure::Unreachable(format!(
                "{url} answered {} without JSON; is this an SSChat host?",
                answer.status
            )));
        };
        if (200..300).contains(&answer.status) {
            return Ok(body);
        }
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (code, msg) = (text("code"), text("msg"));
        if code.is_empty() {
            return Err(Failure::Unreachable(format!(
                "{url} answered {} and no error of SSChat's; is this an SSChat host?",
                answer.status
            )));
        }
        let msg = super::shown::visible(&msg);
        let next = self.next_step(answer, &code);
        Err(Failure::Refused(format!("{msg} ({code}){next}")))
    }

    /// What to do about a refusal.
    fn next_step(&self, answer: &Answer, code: &str) -> String {
        let url = &self.target.url;
        let next = match (answer.status, code) {
            (401, _) => format!(
                "\n  {url} does not know this key: see `sschat config show`, or get one with `sschat register --save-as NAME`"
            ),
            (403, "admin_token_required") => {
                "\n  give the host's admin token with --admin-token-file FILE".to_owned()
            }
            (403, "registration_closed") => "\n  ask whoever runs the host for a key".to_owned(),
            (404, _) => {
                "\n  `sschat room list` and `sschat user list` show what there is".to_owned()
            }
            (409, "wrong_epoch") => {
                "\n  the room began anew: leave --since and --epoch away".to_owned()
            }
            (413, _) => "\n  send less at once".to_owned(),
            (501, "no_history") => {
                "\n  the host keeps none: `sschat up --history durable` does".to_owned()
            }
            _ => String::new(),
        };
        match &answer.retry_after {
            Some(seconds) => format!("{next}\n  try again in {seconds} s"),
            None if answer.status == 503 => format!("{next}\n  try again in a moment"),
            None => next,
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        unreachable(&self.target.url, error)
    }

    /// The ids of a listing: one page, or all of them. Gives back the host's answer with
    /// `field` replaced by all ids, and the cursor of what is left.
    pub(in crate::cli) fn list(
        &self,
        path: &str,
        field: &str,
        paging: &Paging,
    ) -> Result<Value, Failure> {
        let mut cursor = paging.cursor.clone();
        let mut ids: Vec<Value> = Vec::new();
        loop {
            let limit = paging.limit.unwrap_or(PAGE);
            let mut page = format!("{path}?limit={limit}");
            if let Some(cursor) = &cursor {
                page.push_str("&cursor=");
                page.push_str(&percent_encoded(cursor));
            }
            let mut answer = self.call("GET", &page)?;
            let data = &mut answer["data"];
            if let Some(more) = data[field].as_array_mut() {
                ids.append(more);
            }
            cursor = data["next"].as_str().map(str::to_owned);
            if cursor.is_none() || !paging.all {
                data[field] = ids.into();
                return Ok(answer);
            }
        }
    }
}

/// Nobody answers.
pub(super) fn unreachable(url: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::Unreachable(format!(
        "{url} can't be reached: {error}\n  is the host running? `sschat up` starts one here; --url or --profile names another"
    ))
}

/// How much of a listing is wanted.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Paging {
    /// The most ids of a page, up to 1,000.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: Option<u16>,
    /// Go on from where an earlier listing ended.
    #[arg(long)]
    cursor: Option<String>,
    /// Fetch every page.
    #[arg(long)]
    all: bool,
}

/// What is not plain in a path or a query, percent-encoded (RFC 3986, section 2.1).
pub(in crate::cli) fn percent_encoded(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment_of_the_path() {
        assert_eq!(percent_encoded("room_1"), "room_1");
        assert_eq!(percent_encoded("../a?b=é"), "..%2Fa%3Fb%3D%C3%A9");
    }
}
