//! A small HTTP server: fixed answers, and it keeps what is put to `/report`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Default)]
struct Content {
    answers: BTreeMap<String, (u16, Vec<u8>)>,
    reports: Vec<Vec<u8>>,
}

/// The server; it runs as long as the test process.
pub(crate) struct Site {
    url: String,
    content: Arc<Mutex<Content>>,
}

impl Site {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let content: Arc<Mutex<Content>> = Arc::default();
        let shared = Arc::clone(&content);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that goes away in the middle is its own problem.
                drop(answer(stream, &shared));
            }
        });
        Self { url, content }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        self.put_bytes(path, text.as_bytes().to_vec());
    }

    pub(crate) fn put_bytes(&self, path: &str, bytes: Vec<u8>) {
        self.content
            .lock()
            .unwrap()
            .answers
            .insert(path.to_owned(), (200, bytes));
    }

    pub(crate) fn status(&self, path: &str, status: u16) {
        self.content
            .lock()
            .unwrap()
            .answers
            .insert(path.to_owned(), (status, Vec::new()));
    }

    pub(crate) fn reports(&self) -> Vec<Vec<u8>> {
        self.content.lock().unwrap().reports.clone()
    }
}

fn answer(mut stream: TcpStream, content: &Mutex<Content>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut length, mut line) = (0_usize, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if header == "expect: 100-continue" {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if header.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = first.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default().to_owned();
    let (status, bytes) = {
        let mut content = content.lock().unwrap();
        if first.starts_with("PUT /report") {
            content.reports.push(body);
            (200, Vec::new())
        } else {
            content
                .answers
                .get(&path)
                .cloned()
                .unwrap_or((404, Vec::new()))
        }
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        bytes.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&bytes)
}
