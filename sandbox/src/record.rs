//! Records of what went over the wire: exchanges for the conformance test, lines for people.
//! Neither ever holds the `Authorization` header.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use crate::http::{Request, Response};

/// A file of JSON lines.
#[derive(Debug)]
pub(crate) struct Lines {
    file: Mutex<File>,
}

impl Lines {
    /// Opens a file to append to, readable by its owner only: answers hold passwords.
    pub(crate) fn open(path: &Path) -> std::io::Result<Lines> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Lines {
            file: Mutex::new(options.open(path)?),
        })
    }

    /// Writes one line with one write, so that lines never mix. A record that cannot be written
    /// does not fail the request it is about.
    pub(crate) fn write(&self, line: &impl Serialize) {
        let Ok(mut bytes) = serde_json::to_vec(line) else {
            return;
        };
        bytes.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        drop(file.write_all(&bytes));
    }
}

/// One exchange of the DigitalOcean API.
#[derive(Debug, Serialize)]
struct Exchange<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    request: Option<Value>,
    status: u16,
    headers: Value,
    response: Option<&'a Value>,
}

/// An exchange as one line of the record.
pub(crate) fn exchange(request: &Request, response: &Response) -> Value {
    let shown = [
        "ratelimit-limit",
        "ratelimit-remaining",
        "ratelimit-reset",
        "retry-after",
    ];
    let headers: serde_json::Map<String, Value> = response
        .headers
        .iter()
        .filter(|(name, _)| shown.contains(name))
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let exchange = Exchange {
        method: request.method.as_str(),
        path: &request.path,
        query: Some(request.raw_query.as_str()).filter(|query| !query.is_empty()),
        request: request.json(),
        status: response.status,
        headers: Value::Object(headers),
        response: response.body.as_ref(),
    };
    json!(exchange)
}
