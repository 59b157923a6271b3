//! What one decision costs: by a hook over HTTP, by the component each time, from the memo.
//!
//! Unlike the other scenarios this one runs a host in its own process, to measure inside.

use super::report::Report;
use super::rest::load;
use super::stage::{Stage, Target};
use crate::app::App;
use crate::cli::{Cli, Command, UpArgs};
use crate::config::Config;
use crate::http::Bound;
use crate::manifest::Manifest;
use crate::manifest::variables::Values;
use crate::policy::Policy;
use crate::policy::memo::Leave;
use crate::policy::trace::Occasion;
use crate::store::Store;
use crate::wasm::authority::{Identity, Question};
use crate::wasm::calls::{Attribute, ReadError, Reads};
use anyhow::{Context, bail};
use bytes::Bytes;
use clap::{Args, Parser};
use hdrhistogram::Histogram;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Memo hits that are timed together: one alone is shorter than the clock is fine.
const BATCH: u32 = 1_000;

/// Decisions that are asked for at once where each has to wait for something.
const AT_ONCE: usize = 32;

/// Decisions, each way.
#[derive(Debug, Args)]
pub(super) struct Decide {
    /// The application whose authority decides.
    #[arg(long, default_value = "spin.toml")]
    from: PathBuf,
    /// How long to measure each way.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

impl Decide {
    pub(super) fn run(&self) -> anyhow::Result<Report> {
        let folder = std::env::temp_dir().join(format!("sschat-bench-{}", std::process::id()));
        let runtime = tokio::runtime::Runtime::new()?;
        let report = runtime.block_on(self.measure(&folder));
        runtime.shutdown_background();
        std::fs::remove_dir_all(&folder)?;
        report
    }

    async fn measure(&self, folder: &std::path::Path) -> anyhow::Result<Report> {
        let args = up_args(&self.from, folder)?;
        let manifest = Manifest::read(&args.source.from)?;
        let config = Config::new(&args, &manifest.settings)?;
        let values = Values::resolve(&manifest, &[], |_| None)?;
        let bound = Bound::new(config.listen)?;
        let address = bound.address();
        let app = App::build(&manifest, &config, &args.runtime, &values).await?;
        let (policy, store) = (app.policy(), app.state());
        tokio::spawn(app.serve(bound, std::future::pending(), Duration::ZERO));
        let url = format!("http://{address}");
        let stage = tokio::task::spawn_blocking(move || {
            let target = Target::new(&url, None, false)?;
            let stage = Stage::set(&target, 1, 2)?;
            let body = target.call(
                "GET",
                &format!("/api/register/{}?apikey={}", stage.key, stage.key),
            )?;
            let tenant = body["app_id"].as_str().map(str::to_owned);
            anyhow::Ok((stage, tenant.context("no app_id")?))
        });
        let (stage, tenant) = stage.await??;
        let user = stage.users[0].clone();
        let question = Question::MayPublish(Identity { tenant, user }, stage.rooms[0].clone());
        let mut report = Report::default();
        self.memo(&policy, &question, &mut report).await?;
        self.calls(&policy, &store, &question, &mut report)?;
        self.component(&policy, &question, &mut report).await?;
        self.hook(&mut report).await?;
        Ok(report)
    }

    fn over(&self) -> Instant {
        Instant::now() + Duration::from_secs_f64(self.seconds)
    }

    /// A verdict that a session holds, and one that the memo has.
    async fn memo(
        &self,
        policy: &Policy,
        question: &Question,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let verdict = policy
            .decide(question.clone(), &Occasion::default())
            .await?;
        let ends = policy.ends();
        let leave = Leave::by(&verdict);
        let mut leave = leave.context("the verdict is no leave to keep")?;
        let held = self.batches(|| leave.holds(&ends))?;
        report.add("verdict held by its session", "", "");
        report.add_real(
            "p50",
            held.value_at_quantile(0.5) as f64 / f64::from(BATCH),
            "ns",
        );
        let hit = self.batches(|| policy.recall(question).is_some_and(|hit| hit.allows()))?;
        report.add("verdict in the memo", "", "");
        report.add_real(
            "p50",
            hit.value_at_quantile(0.5) as f64 / f64::from(BATCH),
            "ns",
        );
        report.add_real(
            "p99",
            hit.value_at_quantile(0.99) as f64 / f64::from(BATCH),
            "ns",
        );
        let rate = 1e9 / (hit.mean() / f64::from(BATCH));
        report.add_real("decisions", rate / 1_000.0, "thousand/s on one core");
        Ok(())
    }

    fn batches(&self, mut decide: impl FnMut() -> bool) -> anyhow::Result<Histogram<u64>> {
        let mut times = Histogram::new(3)?;
        let until = self.over();
        while Instant::now() < until {
            let start = Instant::now();
            for _ in 0..BATCH {
                if !std::hint::black_box(decide()) {
                    bail!("the decision is no");
                }
            }
            times.record(start.elapsed().as_nanos() as u64)?;
        }
        Ok(times)
    }

    /// Calls of the authority on this thread, without a queue.
    fn calls(
        &self,
        policy: &Policy,
        store: &Arc<dyn Store>,
        question: &Question,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        for (name, reuse) in [
            ("call, instance reused", true),
            ("call, fresh instance", false),
        ] {
            let mut caller = policy.caller(reuse);
            let mut times = Histogram::<u64>::new(3)?;
            let until = self.over();
            while Instant::now() < until {
                let reads = Box::new(StoreReads(Arc::clone(store)));
                let start = Instant::now();
                let (answer, _) = caller.call(question, reads);
                times.record(start.elapsed().as_nanos() as u64)?;
                answer?;
            }
            report.add(name, "", "");
            report.add_times(&times);
        }
        Ok(())
    }

    /// Decisions as a publisher would wait for them, were none remembered.
    async fn component(
        &self,
        policy: &Arc<Policy>,
        question: &Question,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let until = self.over();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            let (policy, question) = (Arc::clone(policy), question.clone());
            tasks.spawn(async move {
                let mut times = Histogram::<u64>::new(3)?;
                while Instant::now() < until {
                    let start = Instant::now();
                    policy.decide_anew(&question).await?;
                    times.record(start.elapsed().as_nanos() as u64)?;
                }
                anyhow::Ok(times)
            });
        }
        let mut all = Histogram::<u64>::new(3)?;
        while let Some(times) = tasks.join_next().await {
            all.add(times??)?;
        }
        report.add("component each time, 32 at once", "", "");
        report.add_real("decisions", all.len() as f64 / self.seconds, "/s");
        report.add_times(&all);
        Ok(())
    }

    /// Decisions by a local server that says yes to everything.
    async fn hook(&self, report: &mut Report) -> anyhow::Result<()> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // As the hooks of those who care about latency would be served.
                let _ = stream.set_nodelay(true);
                tokio::spawn(http1::Builder::new().serve_connection(
                    TokioIo::new(stream),
                    service_fn(|_| async {
                        let yes = Bytes::from_static(br#"{"result":{}}"#);
                        Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(yes)))
                    }),
                ));
            }
        });
        let seconds = self.seconds;
        let times =
            tokio::task::spawn_blocking(move || load(address, "POST /publish", AT_ONCE, seconds));
        let times = times.await??;
        report.add("hook over HTTP, 32 connections", "", "");
        report.add_real("decisions", times.len() as f64 / self.seconds, "/s");
        report.add_times(&times);
        Ok(())
    }
}

fn up_args(from: &std::path::Path, folder: &std::path::Path) -> anyhow::Result<UpArgs> {
    let line = [
        "sschat".as_ref(),
        "up".as_ref(),
        "--listen".as_ref(),
        "127.0.0.1:0".as_ref(),
        "--from".as_ref(),
        from.as_os_str(),
        "--state-dir".as_ref(),
        folder.as_os_str(),
    ];
    match Cli::try_parse_from(line)?.command {
        Command::Up(args) => Ok(*args),
        _ => bail!("not the command to serve"),
    }
}

/// Reads that are not noted: what is measured is the call.
struct StoreReads(Arc<dyn Store>);

impl Reads for StoreReads {
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Bytes>>, ReadError> {
        let values = self.0.get_many_blocking(keys);
        values.map_err(|error| ReadError::Store(error.to_string()))
    }

    fn time(&self) -> u64 {
        crate::clock::unix_now()
    }

    fn note_time(&mut self) {}

    fn payload(&mut self) -> Arc<str> {
        Arc::default()
    }

    fn attribute(&mut self, _: Attribute<'_>) -> Option<String> {
        None
    }
}
