//! One line in front of a body of JSON: what it is, its format, its length and its checksum.
//! `kplan <kind> format=1 length=… crc32=…`. The line and the meaning of `length` and `crc32` stay
//! in every future format, so an old kplan can tell something newer from something damaged.

use std::io::{self, BufRead as _, BufReader, Read};

/// No first line is longer; a file without line breaks must not be read whole to find out.
const LONGEST_LINE: u64 = 4096;
/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// The bytes of `body` with its line.
pub(crate) fn framed(kind: &str, format: u32, body: &[u8]) -> Vec<u8> {
    let sum = checksum(format, body);
    let head = format!(
        "kplan {kind} format={format} length={} crc32={sum:08x}\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The format and the body; the error says what is damaged.
pub(crate) fn unframed<'a>(kind: &str, bytes: &'a [u8]) -> Result<(u32, &'a [u8]), String> {
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or("its first line is missing")?;
    let first = FirstLine::parse(kind, &bytes[..end])?;
    let body = &bytes[end + 1..];
    first.check(body.len() as u64, checksum(first.format, body))?;
    Ok((first.format, body))
}

/// What the first line says.
struct FirstLine {
    format: u32,
    length: u64,
    sum: String,
}

impl FirstLine {
    fn parse(kind: &str, line: &[u8]) -> Result<Self, String> {
        let line = std::str::from_utf8(line).map_err(|_| "its first line is not text")?;
        let rest = line
            .strip_prefix("kplan ")
            .and_then(|rest| rest.strip_prefix(kind))
            .and_then(|rest| rest.strip_prefix(" format="))
            .ok_or_else(|| format!("its first line is not that of a {kind}"))?;
        let mut words = rest.split(' ');
        let format = words.next().and_then(|word| word.parse::<u32>().ok());
        let length = words
            .next()
            .and_then(|word| word.strip_prefix("length=")?.parse::<u64>().ok());
        let sum = words.next().and_then(|word| word.strip_prefix("crc32="));
        let (Some(format), Some(length), Some(sum), None) = (format, length, sum, words.next())
        else {
            return Err("its first line cannot be read".to_owned());
        };
        Ok(Self {
            format,
            length,
            sum: sum.to_owned(),
        })
    }

    /// Whether the body that was read is the one that was written.
    fn check(&self, length: u64, sum: u32) -> Result<(), String> {
        if length != self.length {
            return Err("it has not the length its first line names".to_owned());
        }
        if format!("{sum:08x}") != self.sum {
            return Err("its checksum does not fit".to_owned());
        }
        Ok(())
    }
}

/// A body that is being read; notes what passes.
pub(crate) struct Body<R> {
    from: BufReader<R>,
    hasher: crc32fast::Hasher,
    length: u64,
}

impl<R: Read> Read for Body<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.hasher.update(&into[..count]);
        self.length += count as u64;
        Ok(count)
    }
}

/// [`unframed`] of a file that is not held in memory as a whole: `parse` is given the format and
/// reads the body, and what it made counts only when the rest of the file fits, too. Gives the
/// format and that; the inner error says what is damaged, the outer is the disk's.
pub(crate) fn read_framed<R: Read, T>(
    kind: &str,
    from: R,
    parse: impl FnOnce(u32, &mut BufReader<Body<R>>) -> T,
) -> io::Result<Result<(u32, T), String>> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    from.by_ref()
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Ok(Err("its first line is missing".to_owned()));
    }
    let first = match FirstLine::parse(kind, &line) {
        Ok(first) => first,
        Err(what) => return Ok(Err(what)),
    };
    let body = Body {
        from,
        hasher: hasher(first.format),
        length: 0,
    };
    let mut body = BufReader::with_capacity(CHUNK, body);
    let made = parse(first.format, &mut body);
    io::copy(&mut body, &mut io::sink())?;
    let Body { hasher, length, .. } = body.into_inner();
    let checked = first.check(length, hasher.finalize());
    Ok(checked.map(|()| (first.format, made)))
}

fn checksum(format: u32, body: &[u8]) -> u32 {
    let mut hasher = hasher(format);
    hasher.update(body);
    hasher.finalize()
}

fn hasher(format: u32) -> crc32fast::Hasher {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&format.to_le_bytes());
    hasher
}
