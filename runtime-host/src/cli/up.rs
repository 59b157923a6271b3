//! `sschat up`: serves the application until a signal ends it.

use super::{UpArgs, build, descriptors, log, pack};
use crate::app::App;
use crate::config::Config;
use crate::http::Bound;
use crate::http::tls::Tls;
use crate::manifest::variables::Values;
use crate::stdout;
use anyhow::Context;
use std::time::Instant;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The variable of the manifest that lets apps bring secrets that are easily guessed.
const SHORT_SECRETS: &str = "short_secrets";

pub(super) fn run(args: &UpArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    log::start(args.log_format);
    descriptors::raise();
    let manifest = pack::manifest(&args.source, &args.runtime.state_dir)?;
    let config = Config::new(args, &manifest.settings)?;
    let mut variables = args.runtime.variables.clone();
    if config.dev_app.is_some() && manifest.variables.contains_key(SHORT_SECRETS) {
        variables.push((SHORT_SECRETS.to_owned(), "true".to_owned()));
    }
    let values = Values::resolve(&manifest, &variables, |name| std::env::var(name).ok())?;
    let declared = manifest.variables.contains_key(crate::config::REGISTRATION);
    config.check_registration(declared, &values)?;
    if args.build {
        build::build(&manifest)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let served = runtime.block_on(async {
        // Listening first finds a taken port before any work is done. Clients that come
        // early wait in the backlog.
        let mut bound = Bound::new(config.listen)?;
        if let Some(files) = &config.tls {
            let tls = Tls::new(files.clone())?;
            tokio::spawn(tls.clone().follow());
            bound = bound.with_tls(tls);
        }
        let metrics = config.metrics_listen.map(Bound::for_metrics).transpose();
        let metrics = metrics.context("--metrics-listen")?;
        let app = App::build(&manifest, &config, &args.runtime, &values).await?;
        serve(app, (bound, metrics), &config, started).await
    });
    // Background tasks that still run, such as a sweep, end where they are.
    runtime.shutdown_background();
    served
}

async fn serve(
    app: App,
    (bound, metrics): (Bound, Option<Bound>),
    config: &Config,
    started: Instant,
) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("cannot receive signals")?;
    stdout::say(&format!("{}\n", app.banner(&bound)));
    if let Some(metrics) = metrics {
        stdout::say(&format!(
            "  Metrics    http://{}/metrics\n\n",
            metrics.address()
        ));
        app.serve_metrics(metrics);
    }
    tracing::info!(address = %bound.address(), took = ?started.elapsed(), "listening");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("stopping; a second signal ends at once");
        let _ = stop.send(());
        signals.next().await;
        tracing::warn!("ended by a second signal");
        std::process::exit(1);
    });
    let stopped = async {
        let _ = stopped.await;
    };
    app.serve(bound, stopped, config.drain).await;
    Ok(())
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
