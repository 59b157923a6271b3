//! `sschat status`: how a host is, and what the API key has there.

use super::shown::{fields, print, print_json, said, table};
use super::target::Target;
use super::{Client, Failure, HostArgs};
use clap::Args;
use serde_json::{Value, json};

/// `sschat status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Which.
    #[command(flatten)]
    pub host: HostArgs,
}

pub(super) fn run(args: &StatusArgs) -> anyhow::Result<()> {
    let target = args.host.target()?;
    let url = target.url.clone();
    let anonymous = Client::anonymous(target.clone());
    anonymous.call("GET", "/healthz")?;
    let ready = anonymous.send("GET", "/readyz", &[], None)?;
    let readiness = match ready.status {
        200 => Ok(()),
        _ => Err(anonymous.accept(&ready).err()),
    };
    let key = match &target.key {
        Some(_) => Some(about_key(target)?),
        None => None,
    };
    if args.host.json {
        print_json(&json!({"url": url, "alive": true, "ready": readiness.is_ok(), "key": key}))?;
    } else {
        let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let mut rows = vec![
            ("host", url),
            ("alive", yes(true)),
            ("ready", yes(readiness.is_ok())),
        ];
        match &key {
            None => rows.push(("key", "none is given".to_owned())),
            Some(key) => {
                for name in ["app_id", "label", "require_token", "rule", "rooms", "users"] {
                    rows.push((name, said(&key[name])));
                }
            }
        }
        let mut text = fields(&rows);
        let hosts = key.as_ref().and_then(|key| key["hosts"].as_array());
        if let Some(hosts) = hosts {
            text.push('\n');
            text.push_str(&shown_hosts(hosts));
        }
        print(&text)?;
    }
    match readiness {
        Ok(()) => Ok(()),
        Err(why) => {
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            Err(Failure::Refused(format!("the host is not ready{why}")).into())
        }
    }
}

/// The hosts, a line each, as far as they concern the key.
fn shown_hosts(hosts: &[Value]) -> String {
    let headings = [
        "HOST", "VERSION", "SECONDS", "LAG", "SESSIONS", "USERS", "ROOMS",
    ];
    let row = |host: &Value| {
        let of = |name: &str| said(&host[name]);
        // The host alone has nobody to be behind.
        let lag = host["lag"].as_f64();
        let lag = lag.map_or_else(|| "-".to_owned(), |lag| format!("{:.1} ms", lag * 1e3));
        vec![
            of("uid"),
            of("version"),
            of("uptime"),
            lag,
            of("num_clients"),
            of("num_users"),
            of("num_channels"),
        ]
    };
    let rows: Vec<Vec<String>> = hosts.iter().map(row).collect();
    table(&headings, &rows)
}

/// What the key stands for, and how much there is under it.
fn about_key(target: Target) -> Result<Value, Failure> {
    let client = Client::new(target)?;
    let policy = client.call("GET", "/api/policy")?;
    let count = |path: &str, field: &str| {
        let page = client.call("GET", &format!("{path}?limit=1000"))?;
        let ids = page["data"][field].as_array().map_or(0, Vec::len);
        Ok::<_, Failure>(match page["data"]["next"].is_null() {
            true => json!(ids),
            false => json!(format!("more than {ids}")),
        })
    };
    let path = format!(
        "/api/register/{}",
        super::client::percent_encoded(client.target().key()?.expose())
    );
    let shown = client.call("GET", &path)?;
    let hosts = client.call("POST", "/api/info")?;
    Ok(json!({
        "app_id": shown["app_id"],
        "label": shown["label"],
        "require_token": shown["require_token"],
        "rule": policy["rule"],
        "rooms": count("/api/room", "rooms")?,
        "users": count("/api/user", "users")?,
        "hosts": hosts["result"]["nodes"],
    }))
}
