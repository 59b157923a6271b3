//! `--dev-app`: the app of those who name none, so that programs written for other servers of
//! the Centrifuge protocol work as they are.
//!
//! It is an app like any other, registered at the host's own components; its key is kept in the
//! state folder and used again. Its rule is `open`. Absent on purpose: an address that others
//! reach, which [`crate::config`] refuses.

use crate::config::{Config, DevSettings};
use crate::http::Mount;
use crate::http::router::Router;
use crate::manifest::Manifest;
use crate::manifest::variables::Values;
use crate::mount;
use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file in the state folder that names the app.
const FILE: &str = "dev-app.json";

/// Bytes of a component's answer that are read: it is a small object.
const ANSWER_LIMIT: usize = 4 << 10;

/// The app, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DevApp {
    /// Its public id.
    pub(super) app_id: String,
    /// The key that manages it.
    pub(super) api_key: String,
    /// What signs its users' tokens.
    pub(super) secret: String,
}

/// Where one is wanted, finds the app that was made before, or registers one, and makes it what
/// the options say.
pub(super) async fn open(
    config: &Config,
    (manifest, mounts): (&Manifest, &[Mount]),
    values: &Values,
) -> anyhow::Result<Option<DevApp>> {
    let Some(wanted) = &config.dev_app else {
        return Ok(None);
    };
    let (router, _) = Router::new(mount::routes(manifest, mounts))?;
    let desk = Components { router, mounts };
    let file = config.state_dir.join(FILE);
    let kept = match read(&file)? {
        Some(kept) if desk.knows(&kept).await? => Some(kept),
        _ => None,
    };
    let mut app = match kept {
        Some(app) => app,
        None => desk.register(wanted, values).await?,
    };
    if let Some(secret) = &wanted.secret
        && *secret != app.secret
    {
        desk.bring_secret(&app, secret).await?;
        app.secret.clone_from(secret);
    }
    let rule = Ask::new(Method::PUT, "/api/policy?rule=open").with("x-api-key", &app.api_key);
    let _: Value = desk.ask(rule).await?;
    keep(&file, &app)?;
    tracing::warn!(
        app = app.app_id,
        "connections that name no app belong to this one, which is open to all"
    );
    Ok(Some(app))
}

/// What the server API takes for the app's key beside it, and the key.
pub(super) fn alias(config: &Config, app: Option<&DevApp>) -> Option<(String, String)> {
    let alias = config.dev_app.as_ref()?.api_key.clone()?;
    Some((alias, app?.api_key.clone()))
}

/// What is printed of the app: whoever starts the host needs it.
pub(super) fn shown(config: &Config, app: Option<DevApp>) -> String {
    let Some(app) = app else {
        return String::new();
    };
    let alias = config.dev_app.as_ref().and_then(|it| it.api_key.as_ref());
    let key = alias.unwrap_or(&app.api_key);
    format!(
        "  Dev app    {}\n             API key {key}\n             secret  {}\n",
        app.app_id, app.secret
    )
}

/// The host's own components, asked as over HTTP.
struct Components<'a> {
    router: Router<usize>,
    mounts: &'a [Mount],
}

/// What a component is asked.
struct Ask<'a> {
    method: Method,
    target: &'a str,
    header: Option<(&'static str, &'a str)>,
    body: Vec<u8>,
}

impl<'a> Ask<'a> {
    fn new(method: Method, target: &'a str) -> Self {
        Self {
            method,
            target,
            header: None,
            body: Vec::new(),
        }
    }

    fn with(self, name: &'static str, value: &'a str) -> Self {
        let header = Some((name, value));
        Self { header, ..self }
    }

    fn saying(self, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { body, ..self }
    }
}

impl Components<'_> {
    /// Whether the app's key still counts: its state may be gone.
    async fn knows(&self, app: &DevApp) -> anyhow::Result<bool> {
        let target = format!("/api/register/{}", app.api_key);
        let (status, _) = self.call(Ask::new(Method::GET, &target)).await?;
        match status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            status => bail!("--dev-app: its key is in {FILE}, and the register answers {status}"),
        }
    }

    async fn register(&self, wanted: &DevSettings, values: &Values) -> anyhow::Result<DevApp> {
        let mut wishes = json!({ "label": "--dev-app" });
        if let Some(secret) = &wanted.secret {
            wishes["secret"] = json!(secret);
        }
        let token = values.get("admin_token").unwrap_or_default();
        let ask = Ask::new(Method::POST, "/api/register").with("x-admin-token", token);
        self.ask(ask.saying(&wishes)).await
    }

    async fn bring_secret(&self, app: &DevApp, secret: &str) -> anyhow::Result<()> {
        let target = format!("/api/register/{}/secret", app.api_key);
        let ask = Ask::new(Method::POST, &target).saying(&json!({ "secret": secret }));
        let _: Value = self.ask(ask).await?;
        Ok(())
    }

    /// What a component answers, where it does what it is asked.
    async fn ask<T: DeserializeOwned>(&self, ask: Ask<'_>) -> anyhow::Result<T> {
        #[derive(Deserialize)]
        struct Refusal {
            msg: String,
        }
        let (status, body) = self.call(ask).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).context("--dev-app: a component's answer");
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(Refusal { msg }) => bail!("--dev-app: {msg}"),
            Err(_) => bail!("--dev-app: a component answers {status}"),
        }
    }

    async fn call(&self, ask: Ask<'_>) -> anyhow::Result<(StatusCode, Bytes)> {
        let path = ask.target.split('?').next().unwrap_or_default();
        let mount = self.router.find(path).map(|found| *found.target);
        let Some(mount) = mount.and_then(|index| self.mounts.get(index)) else {
            bail!("--dev-app needs {path}, and no route of the manifest leads there");
        };
        let mut request = Request::builder()
            .method(ask.method)
            .uri(format!("http://localhost{}", ask.target));
        if let Some((name, value)) = ask.header {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(ask.body)))?;
        let response = mount.component.call(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT);
        match body.collect().await {
            Ok(body) => Ok((status, body.to_bytes())),
            Err(error) => bail!("--dev-app: an answer broke off: {error}"),
        }
    }
}

fn read(file: &Path) -> anyhow::Result<Option<DevApp>> {
    let wrong = || format!("{}: remove it, and another app is made", file.display());
    match std::fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(wrong),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(wrong),
    }
}

/// Writes the file anew, whole or not at all, for its owner alone.
fn keep(file: &Path, app: &DevApp) -> anyhow::Result<()> {
    let fresh = file.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        options
            .open(&fresh)?
            .write_all(&serde_json::to_vec_pretty(app)?)?;
        std::fs::rename(&fresh, file)
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}
