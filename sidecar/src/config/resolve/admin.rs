//! The admin API.

use std::net::{IpAddr, SocketAddr};

use super::listen::is_at;
use super::plain;
use crate::config::parse::{self, Problem};
use crate::config::reader::{Found, Reader};
use crate::config::{Admin, Listener, Target, Upstream};

const PORT: u16 = 9900;

pub(in crate::config) fn admin(
    reader: &mut Reader,
    listeners: &[Found<Listener>],
    upstreams: &[Upstream],
) -> Option<Admin> {
    let addr = reader.value("admin", parse::or_word(plain(address)));
    let token_file = reader.path("admin_token_file");
    let Some(addr) = addr else {
        reader.useless(&["admin_token_file"], "admin is off");
        return None;
    };
    if addr.port() != 0 {
        if listeners.iter().any(|found| found.value.addr == addr) {
            let problem = format!("{addr} is the address of a listener, and the admin API has one of its own");
            reader.report.fault(&reader.place("admin"), problem, "give one of the two another port, or `off` to admin");
        }
        // Its clients would be this very host to the admin API, and could change whatever they like.
        for Upstream { target, written, .. } in upstreams {
            let Target::Tcp { host, port } = target else { continue };
            if is_at(addr, host, *port) {
                let problem =
                    format!("{host}:{port} is the admin API itself, so every client could change what it likes");
                reader.report.fault(&written.0, problem, "give the app's port, or another one to `admin`");
            }
        }
    }
    Some(Admin { addr, token_file })
}

fn address(text: &str) -> Result<SocketAddr, Problem> {
    if let Ok(addr) = text.parse() {
        return Ok(addr);
    }
    let problem = Problem::new(format!("`{text}` is not an IP address with a port"));
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    if let Ok(addr) = bare.parse::<SocketAddr>() {
        return Err(problem.advise(format!("write `{addr}`, without a scheme")));
    }
    if let Ok(ip) = bare.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Err(problem.advise(format!("write `{}`", SocketAddr::new(ip, PORT))));
    }
    match bare.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?))) {
        Some(("localhost", port)) => Err(problem.advise(format!("write `127.0.0.1:{port}`"))),
        Some(("" | "*", port)) => {
            Err(problem.advise(format!("write `0.0.0.0:{port}`, or `127.0.0.1:{port}` for this host alone")))
        }
        _ => Err(problem),
    }
}
