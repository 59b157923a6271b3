//! A bare wasmtime host: hyper, `wasmtime-wasi-http`'s handler and a hash map.
//!
//! It serves SSChat's own REST components, so that `sschat bench rest` measures hosts and
//! not handlers: what SSChat's host is slower than this one, its routing, limits, time
//! budget, log, store and WebSockets cost. Absent on purpose: all of these. Nothing is
//! durable, nothing is bounded, and whatever is not a known path is not found.

mod decide;
mod handler;
mod keyvalue;

use clap::Parser;
use handler::{Handler, Reuse};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keyvalue::Map;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use wasmtime::component::Component;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ProfilingStrategy,
};
use wasmtime_wasi_http::handler::ProxyHandler;
use wasmtime_wasi_http::{Error, WasiBody};

/// Serves the REST components of a folder from memory.
#[derive(Debug, Parser)]
struct Options {
    /// The folder of `sschat_register.wasm`, `sschat_room.wasm` and `sschat_user.wasm`.
    #[arg(default_value = "target/wasm32-wasip2/component")]
    components: PathBuf,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:3100")]
    listen: SocketAddr,
    /// Requests that one instance answers before it is replaced.
    #[arg(long, default_value_t = 128)]
    reuse: usize,
    /// Requests that one instance answers at once.
    #[arg(long, default_value_t = 1)]
    concurrent: usize,
    /// Serve nothing: measure one decision of `sschat_authority.wasm`, and end.
    #[arg(long)]
    decide: bool,
    /// Write `/tmp/perf-PID.map`, by which perf names the components' functions.
    #[arg(long)]
    perf_map: bool,
}

/// The components by the path that they answer.
type Routes = Vec<(&'static str, ProxyHandler<Handler>)>;

#[tokio::main]
async fn main() -> wasmtime::Result<()> {
    let options = Options::parse();
    if options.decide {
        return decide::run(&options.components);
    }
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(
        PoolingAllocationConfig::new(),
    ));
    if options.perf_map {
        config.profiler(ProfilingStrategy::PerfMap);
    }
    let engine = Engine::new(&config)?;
    let map = Arc::new(Map::default());
    let reuse = Reuse {
        total: options.reuse,
        concurrent: options.concurrent,
    };
    let mut routes = Routes::new();
    for (path, file) in [
        ("/api/room", "sschat_room.wasm"),
        ("/api/user", "sschat_user.wasm"),
        ("/api/register", "sschat_register.wasm"),
    ] {
        let component = Component::from_file(&engine, options.components.join(file))?;
        let handler = Handler::new(&engine, &component, &map, reuse)?;
        routes.push((path, ProxyHandler::new(handler)));
    }
    let routes = Arc::new(routes);
    let listener = TcpListener::bind(options.listen).await?;
    println!("listening on {}", options.listen);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let routes = routes.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| answer(routes.clone(), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            if let Err(error) = connection.await {
                eprintln!("a connection ended early: {error}");
            }
        });
    }
}

async fn answer(
    routes: Arc<Routes>,
    request: Request<Incoming>,
) -> wasmtime::Result<Response<WasiBody>> {
    let path = request.uri().path();
    let Some((_, handler)) = routes.iter().find(|(prefix, _)| path.starts_with(prefix)) else {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    let (mut parts, body) = request.into_parts();
    // The handler wants to know where a request was meant to go.
    let mut uri = parts.uri.into_parts();
    uri.scheme = Some(http::uri::Scheme::HTTP);
    uri.authority = Some(http::uri::Authority::from_static("localhost"));
    parts.uri = http::Uri::from_parts(uri)?;
    let body = body.map_err(Error::from).boxed_unsync();
    handler.handle((), Request::from_parts(parts, body)).await
}

fn empty() -> WasiBody {
    http_body_util::Empty::new()
        .map_err(|never| match never {})
        .boxed_unsync()
}
