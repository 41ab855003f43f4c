use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::*;
use crate::net::{Endpoint, TokioNet};
use crate::server::{Server, Surroundings};
use crate::telemetry;

const BY_ADDRESS: &str = "upstream = \"127.0.0.1:1\"\nlisten = [\"http://127.0.0.1:0\"]\n";
const BY_NAME: &str = "upstream = \"app.example:1\"\nlisten = [\"http://127.0.0.1:0\"]\n";

/// The real network with a resolver of the test's own: it fails so many times, then knows every name.
#[derive(Clone)]
struct Names(Arc<Resolver>);

struct Resolver {
    asked: AtomicUsize,
    failures: usize,
    /// An answer takes one of these.
    answers: Semaphore,
}

impl Names {
    fn new(failures: usize, answers: usize) -> Self {
        Self(Arc::new(Resolver { asked: AtomicUsize::new(0), failures, answers: Semaphore::new(answers) }))
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::Relaxed)
    }
}

impl Net for Names {
    type Stream = <TokioNet as Net>::Stream;
    type Listener = <TokioNet as Net>::Listener;

    async fn bind(&self, addr: SocketAddr) -> io::Result<Self::Listener> {
        TokioNet::default().bind(addr).await
    }

    async fn connect(&self, to: &Endpoint) -> io::Result<Self::Stream> {
        TokioNet::default().connect(to).await
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        let before = self.0.asked.fetch_add(1, Ordering::Relaxed);
        self.0.answers.acquire().await.expect("it is never closed").forget();
        let known = before >= self.0.failures;
        if known { Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        TokioNet::default().spawn(task);
    }

    fn wall_clock(&self) -> SystemTime {
        TokioNet::default().wall_clock()
    }

    fn entropy(&self, out: &mut [u8]) {
        TokioNet::default().entropy(out);
    }
}

/// A configuration of the test's own.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("outrigger-serve-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, BY_ADDRESS).expect("a folder to write to");
        Self(path)
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).expect("it is there");
    }

    fn source(&self) -> Source {
        let args = ["outrigger", "run", "--config"].map(Into::into).into_iter().chain([self.0.clone().into()]);
        Source { args: args.collect(), env: Vec::new() }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn config(source: &Source) -> (Config, Files) {
    let Reading { command: Ok(Command::Run { config, .. }), files } = source.read() else {
        panic!("a configuration without faults")
    };
    (*config, files)
}

/// For a sidecar that is bound.
async fn reloader(file: &File, names: &Names) -> Reloader<Names> {
    let source = file.source();
    let (config, files) = config(&source);
    let crypto = Crypto::new(names.clone());
    let (tls, observer) = (None, Arc::new(telemetry::Log));
    let surroundings =
        Surroundings { crypto: crypto.clone(), tls, max_connections: 1, observer, tracer: None, metrics: false };
    let server = Server::start(names.clone(), &config, surroundings).await.expect("a free port");
    let control = Arc::clone(server.control());
    Reloader { source, control, crypto, level: Level::of_no_log(), config, files }
}

#[tokio::test(start_paused = true)]
async fn what_came_too_early_is_tried_again() {
    let (file, names) = (File::new("early"), Names::new(2, 10));
    let reloader = reloader(&file, &names).await;
    let control = Arc::clone(&reloader.control);
    file.write(BY_NAME);
    let requests = control.reloads().take_requests().expect("nobody has them");
    let begun = Instant::now();
    names.spawn(reloader.serve(requests, signal(SignalKind::user_defined2()).expect("it can be caught")));
    while names.asked() < 3 {
        sleep(Duration::from_secs(1)).await;
        assert!(begun.elapsed() < 10 * PAUSE, "asked {} times", names.asked());
    }
    assert!(begun.elapsed() >= 2 * PAUSE);
    // A name that is in force is not looked up again.
    assert_eq!(control.reloads().ask().await, Ok(Reloaded::default()));
    assert_eq!(names.asked(), 3);
}

#[tokio::test]
async fn a_drain_that_begins_while_a_name_is_looked_up_goes_by_what_was_before() {
    let (file, names) = (File::new("drain"), Names::new(0, 0));
    let control = reloader(&file, &names).await.control;
    file.write(BY_NAME);
    let (config, _) = config(&file.source());
    let mut put = std::pin::pin!(control.put_into_force(&config, None));
    tokio::select! {
        biased;
        _ = &mut put => panic!("nobody has answered"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(names.asked(), 1);
    control.lifecycle().advance(Stage::Draining);
    names.0.answers.add_permits(1);
    assert!(matches!(put.await, Err(ReloadError::Stopping)));
}
