//! Sessions of which the test holds both ends.

use std::sync::{Mutex, PoisonError};
use std::thread;

use outrigger_tests::ws::upgrade;
use outrigger_tests::{End, Frame, Held, Side, Sidecar, Wire};
use serde_json::Value;

/// The listeners of WS and WSS.
pub(crate) const SCHEMES: [&str; 2] = ["http", "https"];

/// A sidecar with both listeners in front of an app that the test plays.
pub(crate) struct Bench {
    pub(crate) sidecar: Sidecar,
    app: Held,
    /// Whoever opens a session takes the next connection to the app: one at a time.
    opening: Mutex<()>,
}

/// One session's two ends.
pub(crate) struct Pair {
    pub(crate) client: Wire,
    pub(crate) app: Wire,
}

impl Bench {
    pub(crate) fn new(settings: &[(&str, &str)]) -> Bench {
        let app = Held::listen();
        let launch = Sidecar::before(app.addr()).http().https();
        let launch = settings.iter().fold(launch, |launch, (flag, value)| launch.flag(flag, value));
        Bench { sidecar: launch.start(), app, opening: Mutex::new(()) }
    }

    /// A session of the plainest kind.
    #[track_caller]
    pub(crate) fn open(&self, scheme: &str) -> Pair {
        self.open_with(scheme, &[], &[])
    }

    /// A session with these header lines in the request and in the 101.
    #[track_caller]
    pub(crate) fn open_with(&self, scheme: &str, offer: &[&str], answer: &[&str]) -> Pair {
        let mut client = self.sidecar.connect(scheme);
        let app = {
            let _turn = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
            client.send(upgrade("/", offer));
            self.app.upgrade(answer).0
        };
        client.response("GET").expect(101);
        Pair { client, app }
    }

    /// The account of the end of this session.
    #[track_caller]
    pub(crate) fn account(&self, pair: &Pair) -> Value {
        self.sidecar.session_of(pair.client.local_addr())
    }
}

impl Pair {
    /// That side's end and the other one.
    pub(crate) fn ends(&mut self, side: Side) -> (&mut Wire, &mut Wire) {
        match side {
            Side::Client => (&mut self.client, &mut self.app),
            Side::App => (&mut self.app, &mut self.client),
        }
    }

    pub(crate) fn end(&mut self, side: Side) -> &mut Wire {
        self.ends(side).0
    }

    /// A frame sent from that side arrives at the other one as it is.
    #[track_caller]
    pub(crate) fn passes(&mut self, from: Side, frame: &Frame) {
        let (sender, receiver) = self.ends(from);
        sender.send(frame.bytes());
        assert_eq!(&receiver.frame(), frame, "from the {}", from.name());
    }

    /// These frames, one after the other.
    #[track_caller]
    pub(crate) fn all_pass(&mut self, from: Side, frames: &[Frame]) {
        for frame in frames {
            self.passes(from, frame);
        }
    }

    /// Both answer the Close that they got with this code, then hang up in the right order; nothing more came to
    /// either.
    #[track_caller]
    pub(crate) fn part(&mut self, client_code: u16, app_code: u16) {
        self.client.send(Frame::close(Side::Client, client_code).bytes());
        self.app.send(Frame::close(Side::App, app_code).bytes());
        self.hang_up();
    }

    /// The client answers the Close that it got with this code, the app gets that answer as its Close and answers it,
    /// and both hang up.
    #[track_caller]
    pub(crate) fn part_in_order(&mut self, code: u16) {
        self.passes(Side::Client, &Frame::close(Side::Client, code));
        self.app.send(Frame::close(Side::App, code).bytes());
        self.hang_up();
    }

    /// Closes were exchanged: the app closes first (RFC 6455 section 7.1.1), and both see a clean end and nothing
    /// before it.
    #[track_caller]
    pub(crate) fn hang_up(&mut self) {
        self.app.finish();
        assert_eq!(self.client.expect_end(), End::Clean, "towards the client");
        assert_eq!(self.app.expect_end(), End::Clean, "towards the app");
        self.client.finish();
    }
}

/// The other one.
pub(crate) fn peer(side: Side) -> Side {
    match side {
        Side::Client => Side::App,
        Side::App => Side::Client,
    }
}

/// Runs a test over WS and over WSS, side by side: what takes time takes it once.
pub(crate) fn each_scheme(run: impl Fn(&str) + Sync) {
    thread::scope(|scope| {
        for scheme in SCHEMES {
            let run = &run;
            scope.spawn(move || run(scheme));
        }
    });
}

/// The same, and each way of both: four at once.
pub(crate) fn each_way(run: impl Fn(&str, Side) + Sync) {
    each_scheme(|scheme| {
        thread::scope(|scope| {
            for side in Side::BOTH {
                let run = &run;
                scope.spawn(move || run(scheme, side));
            }
        });
    });
}

/// Checks the named fields of a log line, and shows the whole line where one differs.
#[track_caller]
pub(crate) fn assert_says(line: &Value, expected: &Value) {
    for (name, value) in expected.as_object().expect("an object of expected fields") {
        assert_eq!(&line[name], value, "{name} of {line}");
    }
}
