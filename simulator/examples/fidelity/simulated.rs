//! The simulated network.

use std::io;
use std::sync::Arc;

use outrigger::config::{self, Sources};
use outrigger::net::{Endpoint, Net as _};
use outrigger::server::{Server, Surroundings};
use outrigger_sim::crypto;
use outrigger_sim::engine::{self, HostSpec, Options, World};
use outrigger_sim::net::SimNet;
use outrigger_sim::wan::{Link, Place as Site};
use rustls::ClientConfig;

use crate::app;
use crate::plan::{Figures, Plan};
use crate::play::{self, Place};

const PLAIN_PORT: u16 = 8080;
const TLS_PORT: u16 = 8443;
const APP_PORT: u16 = 3000;
/// From sidecar to app on one machine, in microseconds.
const LOOPBACK_US: u64 = 20;
const MAX_CONNECTIONS: usize = 10_000;

/// As many worlds as `runs` says, each with a seed of its own.
pub(crate) fn all(plan: &Plan, link: Link, runs: u64) -> Result<Figures, String> {
    let mut all = Figures::new();
    for seed in 1..=runs {
        let options = Options::new(seed)
            .host(HostSpec::new("client", 0))
            .host(HostSpec::new("edge", 1))
            .host(HostSpec::new("app", 1))
            .link(Site::Region(0), Site::Region(1), link)
            .link(Site::Host(1), Site::Host(2), Link::latency(LOOPBACK_US));
        let outcome = engine::run(options, |world| one(world, *plan)).map_err(|error| error.to_string())?;
        for (cell, samples) in outcome.result {
            all.entry(cell).or_default().extend(samples);
        }
    }
    Ok(all)
}

async fn one(world: World, plan: Plan) -> Figures {
    let (app, edge) = (world.host("app"), world.host("edge"));
    app.spawn({
        let net = app.clone();
        async move {
            let addr = ([0, 0, 0, 0], APP_PORT).into();
            app::serve(net, addr).await.expect("the simulated port is free");
        }
    });
    sidecar(&edge).await;
    let targets = [PLAIN_PORT, TLS_PORT].map(|port| Endpoint::Tcp(edge.addr(port)));
    let client = world.host("client");
    let tls = crypto::client_config(&crypto::crypto(&client, client.index()));
    play::all(&Simulated { world, tls }, plan, targets).await
}

/// The sidecar with the settings that `tests/fidelity/measure.py` gives to the real one.
async fn sidecar(edge: &SimNet) {
    let settings = [
        ("upstream", "app:3000"),
        ("listen", "http://0.0.0.0:8080"),
        ("listen", "https://0.0.0.0:8443"),
        ("tls_cert", "test-cert.pem"),
        ("tls_key", "test-key.pem"),
        ("keepalive", "off"),
        ("proxy_read_timeout", "15m"),
        ("keepalive_timeout", "15m"),
    ];
    let flags = settings.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let (config, _) = config::resolve(&Sources { flags, ..Sources::default() }, None)
        .unwrap_or_else(|report| panic!("the settings are wrong: {report}"));
    let crypto = crypto::crypto(edge, edge.index());
    let tls = Some(crypto::server_side(&crypto));
    let observer = Arc::new(outrigger::telemetry::Log);
    let surroundings =
        Surroundings { crypto, tls, max_connections: MAX_CONNECTIONS, observer, tracer: None, metrics: false };
    let server = Server::start(edge.clone(), &config, surroundings).await.expect("the simulated ports are free");
    edge.spawn(server.run(std::future::pending(), std::future::pending()));
}

#[derive(Clone)]
struct Simulated {
    world: World,
    tls: ClientConfig,
}

impl Place for Simulated {
    type Net = SimNet;

    fn net(&self, number: u32) -> SimNet {
        self.world.host("client").labelled(&number.to_string())
    }

    fn key(&self, number: u32, _: &outrigger_sim::net::SimStream) -> u32 {
        number
    }

    async fn wire_bytes(&self, key: u32) -> io::Result<[u64; 2]> {
        let label = key.to_string();
        let rows = self.world.traffic().into_iter().filter(|row| *row.label == label);
        Ok(rows.fold([0, 0], |[up, down], row| [up + row.up.bytes, down + row.down.bytes]))
    }

    fn tls(&self) -> ClientConfig {
        self.tls.clone()
    }
}
