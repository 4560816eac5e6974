//! Recommendations over HTTP, from one process with one file of feedback beside it.
//!
//! One thread speaks with the network, a few compute, one writes. Feedback is on disk before it is acknowledged and counts in
//! the next answer. There is no TLS: a server for others than this machine belongs behind a proxy that has it.

mod answers;
mod call;
mod catalogue;
mod feedback;
mod intake;
mod metrics;
mod openapi;
mod refusal;
mod routes;
mod store;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use footlight::{Error, ErrorKind, Result};
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use self::call::Call;
use self::catalogue::Catalogue;
use self::intake::Intake;
use self::metrics::Metrics;
use self::refusal::{Refusal, Why};
use self::routes::{Action, Answer};
use self::store::Store;
pub use self::store::stored;
use super::{Recommender, Update};

/// Larger bodies are refused.
const MOST_BYTES: usize = 1 << 20;
/// Longer heads of requests are refused.
const MOST_HEAD_BYTES: usize = 1 << 16;
/// Connections at a time; further ones wait.
const CONNECTIONS: usize = 1024;
/// How long the head or the body of a request may take, and a connection may be idle.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a stop waits for the answers that are under way.
const FAREWELL: Duration = Duration::from_secs(5);

/// How a server behaves.
///
/// # Arguments
/// Defaults: no token, as many threads as cores.
#[derive(Clone, Debug, Default)]
pub struct Serving {
    token: Option<String>,
    threads: Option<usize>,
}

impl Serving {
    /// What requests have to carry as `Authorization: Bearer TOKEN` or, as clients of Gorse do, `X-API-Key: TOKEN`, but
    /// for the pages, the OpenAPI document and the health.
    pub fn token(mut self, token: impl Into<String>) -> Serving {
        self.token = Some(token.into());
        self
    }

    /// The most threads that compute answers.
    pub fn threads(mut self, threads: usize) -> Serving {
        self.threads = Some(threads);
        self
    }

    /// Opens the store of feedback, whose events are added to those that the recommender has, and listens.
    ///
    /// # Errors
    /// `ErrorKind::File` for a store that cannot be used, `ErrorKind::Network` for an address that cannot be listened at,
    /// `ErrorKind::Config` for a token that no header can carry.
    pub fn bind(self, mut recommender: Recommender, store: impl AsRef<Path>, address: &str) -> Result<Server> {
        if self
            .token
            .as_ref()
            .is_some_and(|token| token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            let message = "the token has to be made of letters, digits and signs, without spaces";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let path: PathBuf = store.as_ref().into();
        let (store, events) = Store::open(&path)?;
        let replayed = recommender.update(&events);
        let (listener, address) = listen(address)?;
        let catalogue = Catalogue::new(&recommender);
        let (recommender, metrics) = (Arc::new(RwLock::new(recommender)), Arc::new(Metrics::new()));
        let (intake, writer) = Intake::start(path, store, Arc::clone(&recommender), Arc::clone(&metrics));
        let shared = Arc::new(Shared { recommender, catalogue, intake, metrics, token: self.token });
        Ok(Server { listener, address, replayed, shared, writer, threads: self.threads, stopper: Stopper::default() })
    }
}

fn listen(address: &str) -> Result<(TcpListener, SocketAddr)> {
    let listen = || {
        let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
        let listener = TcpListener::bind(addresses.as_slice())?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    listen().map_err(|error: std::io::Error| {
        Error::new(ErrorKind::Network, format!("cannot listen at `{address}`: {error}"))
            .help("give an address and a port that is free, such as 127.0.0.1:8080")
    })
}

/// What all requests share.
#[derive(Debug)]
struct Shared {
    recommender: Arc<RwLock<Recommender>>,
    catalogue: Catalogue,
    intake: Intake,
    metrics: Arc<Metrics>,
    token: Option<String>,
}

/// Stops a server, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Stopper(Arc<Notify>);

impl Stopper {
    /// No further connection is taken, answers under way are given, and feedback that was taken is written.
    pub fn stop(&self) {
        self.0.notify_one();
    }
}

/// A server that listens.
///
/// # Examples
/// ```
/// use footlight_apps::recommend::{self, Kind, Recommender, Settings, serve::Serving};
/// let films = Recommender::fit(recommend::embedded(0), Kind::Ease, &Settings::default(), 0, 1)?;
/// let store = std::env::temp_dir().join(format!("films-{}.feedback", std::process::id()));
/// let server = Serving::default().bind(films, &store, "127.0.0.1:0")?;
/// assert!(server.address().port() > 0);
/// server.stopper().stop();
/// assert_eq!(server.run()?, 0);
/// # std::fs::remove_file(store).unwrap();
/// # Ok::<(), footlight::Error>(())
/// ```
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    replayed: Update,
    shared: Arc<Shared>,
    writer: JoinHandle<()>,
    threads: Option<usize>,
    stopper: Stopper,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What became of the events that the store held.
    pub fn replayed(&self) -> &Update {
        &self.replayed
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Answers until it is stopped; also the number of requests.
    ///
    /// # Errors
    /// `ErrorKind::Network` when the system gives no threads or events.
    pub fn run(self) -> Result<u64> {
        let Server { listener, shared, writer, threads, stopper, .. } = self;
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let fault = |error: std::io::Error| Error::new(ErrorKind::Network, format!("cannot serve: {error}"));
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_io().enable_time().max_blocking_threads(threads.max(1)).build().map_err(fault)?;
        runtime.block_on(accept(listener, Arc::clone(&shared), &stopper.0)).map_err(fault)?;
        drop(runtime);
        let requests = shared.metrics.num_requests();
        drop(shared);
        writer.join().map_err(|_| Error::new(ErrorKind::Invalid, "the thread that writes feedback has panicked"))?;
        Ok(requests)
    }
}

/// Takes connections until it is told to stop, then waits for their answers.
async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: &Notify) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(MOST_HEAD_BYTES);
    let (connections, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("places are never closed");
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            () = stop.notified() => break,
        };
        let Ok((stream, _)) = accepted else {
            // Such as too many open files: others have to close first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(answer(shared, request).await) }
        });
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // Whoever goes away in the middle of a request needs no answer.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = timeout(FAREWELL, connections.shutdown()).await;
    Ok(())
}

/// Answers a request, and counts it.
async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    let start = Instant::now();
    let found = routes::find(request.method().as_str(), request.uri().path());
    let path = found.as_ref().map_or("other", |(route, _)| route.path);
    let reply = match found {
        Ok((route, arguments)) => reply(&shared, route, arguments, request).await,
        Err(refusal) => Err(refusal),
    };
    let answer = reply.unwrap_or_else(|refusal| refused(&refusal));
    shared.metrics.answered(path, answer.status().as_u16(), start.elapsed());
    answer
}

async fn reply(
    shared: &Arc<Shared>,
    route: &'static routes::Route,
    arguments: Vec<String>,
    request: Request<Incoming>,
) -> answers::Reply {
    if !route.is_open {
        check_origin(request.headers())?;
        shared.token.as_ref().map_or(Ok(()), |token| check_token(token, request.headers()))?;
    }
    let query = request.uri().query().unwrap_or_default().to_string();
    let body = read(request).await?;
    let call = Call::new(route, arguments, &query, body)?;
    match route.action {
        Action::Instant(answer) => answer(shared, &call),
        Action::Computed(answer) => {
            let shared = Arc::clone(shared);
            let computed = tokio::task::spawn_blocking(move || answer(&shared, &call)).await;
            computed.unwrap_or_else(|_| Err(Refusal::new(Why::Internal, "the answer could not be computed")))
        }
        Action::Feedback => {
            let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() as i64);
            let update = shared.intake.take(feedback::read(&call.body, now)?).await?;
            answers::acknowledged(&update)
        }
    }
}

/// A page of another site may not send what the person before it did not.
fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get("sec-fetch-site") {
        Some(site) if site == "cross-site" => {
            Err(Refusal::new(Why::ForeignSite, "pages of other sites are not answered"))
        }
        _ => Ok(()),
    }
}

fn check_token(token: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let given = bearer.or_else(|| headers.get("x-api-key").map(HeaderValue::as_bytes));
    // Every byte is compared, so that the time tells nothing.
    let differs = |given: &[u8]| given.iter().zip(token.as_bytes()).fold(0, |all, (a, b)| all | (a ^ b)) != 0;
    match given {
        Some(given) if given.len() == token.len() && !differs(given) => Ok(()),
        _ => {
            let message = if given.is_some() { "the token is another one" } else { "a token is needed" };
            let refusal = Refusal::new(Why::Unauthorized, message).help("send `Authorization: Bearer TOKEN`");
            Err(refusal.header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
        }
    }
}

async fn read(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let slow = |_| Refusal::new(Why::TooSlow, format!("the body took longer than {} s", PATIENCE.as_secs()));
    let read = timeout(PATIENCE, Limited::new(request.into_body(), MOST_BYTES).collect()).await.map_err(slow)?;
    read.map(|body| body.to_bytes()).map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
        true => {
            Refusal::new(Why::TooLarge, format!("the body has more than {MOST_BYTES} bytes")).help("send it in parts")
        }
        false => Refusal::new(Why::BadRequest, format!("the body cannot be read: {error}")),
    })
}

fn refused(refusal: &Refusal) -> Answer {
    let status = refusal.why.told().1;
    let mut answer = answers::typed(status, "application/json", refusal.to_json().to_string());
    if let Some(header) = &refusal.header {
        answer.headers_mut().insert(header.0.clone(), header.1.clone());
    }
    answer
}
