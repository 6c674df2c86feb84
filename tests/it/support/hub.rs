//! The stand-in for GitHub, served on a port of this machine.

use crate::github::{Answer, Call, StandIn};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// A served stand-in; it ends when it is dropped.
pub(crate) struct Hub {
    address: SocketAddr,
    stand_in: Arc<Mutex<StandIn>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hub {
    /// Begins to serve.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let stand_in: Arc<Mutex<StandIn>> = Arc::default();
        let ended = Arc::new(AtomicBool::new(false));
        let (served, over) = (Arc::clone(&stand_in), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                serve(&served, stream.expect("a connection"));
            }
        });
        Self {
            address,
            stand_in,
            ended,
            thread: Some(thread),
        }
    }

    /// The stand-in.
    pub(crate) fn github(&self) -> MutexGuard<'_, StandIn> {
        self.stand_in.lock().expect("the stand-in")
    }

    /// Where its API is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A command that finds it, as a workflow's would.
    pub(crate) fn of(&self, mut command: Command) -> Command {
        command.env("GITHUB_API_URL", self.url());
        command
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes it up; where nobody listens any more, fine.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Answers one call.
fn serve(stand_in: &Mutex<StandIn>, mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let Some((first, rest)) = lines.split_first() else {
        return;
    };
    let header = |line: &String| {
        let (name, value) = line.split_once(':').expect("a header");
        (name.to_lowercase(), value.trim().to_owned())
    };
    let headers: BTreeMap<String, String> = rest.iter().map(header).collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse::<usize>().expect("a length"));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let mut words = first.split(' ');
    let call = Call {
        method: words.next().expect("a method"),
        target: words.next().expect("a target"),
        headers: &headers,
        body: &body,
    };
    let answer = stand_in.lock().expect("the stand-in").answer(&call);
    let text = written(&answer);
    stream.write_all(text.as_bytes()).expect("it is heard");
}

fn written(answer: &Answer) -> String {
    let named = |(name, value): &(String, String)| format!("{name}: {value}\r\n");
    let headers: String = answer.headers.iter().map(named).collect();
    format!(
        "HTTP/1.1 {} Answered\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{}",
        answer.status,
        answer.body.len(),
        answer.body
    )
}
