//! The app of a container: echoes the messages of WebSocket sessions and answers requests with 200, at the address that
//! its argument names, until it is killed.

use std::net::TcpListener;
use std::thread;

use outrigger_tests::App;
use outrigger_tests::app::Conn;

fn main() {
    let addr = std::env::args().nth(1).expect("an address to listen at");
    let listener = TcpListener::bind(&addr).unwrap_or_else(|e| panic!("{addr}: {e}"));
    let _app = App::on(listener, None, Conn::serve_echo);
    loop {
        thread::park();
    }
}
