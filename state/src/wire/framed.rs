//! One line in front of a body of JSON: what it is, its format, its length and its checksum.
//! `kplan <kind> format=1 length=… crc32=…`. The line and the meaning of `length` and `crc32` stay
//! in every future format, so an old kplan can tell something newer from something damaged.

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
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| "its first line is not text")?;
    let rest = line
        .strip_prefix("kplan ")
        .and_then(|rest| rest.strip_prefix(kind))
        .and_then(|rest| rest.strip_prefix(" format="))
        .ok_or_else(|| format!("its first line is not that of a {kind}"))?;
    let mut words = rest.split(' ');
    let format = words.next().and_then(|word| word.parse::<u32>().ok());
    let length = words
        .next()
        .and_then(|word| word.strip_prefix("length=")?.parse::<usize>().ok());
    let sum = words.next().and_then(|word| word.strip_prefix("crc32="));
    let (Some(format), Some(length), Some(sum), None) = (format, length, sum, words.next()) else {
        return Err("its first line cannot be read".to_owned());
    };
    let body = &bytes[end + 1..];
    if body.len() != length {
        return Err("it has not the length its first line names".to_owned());
    }
    if format!("{:08x}", checksum(format, body)) != sum {
        return Err("its checksum does not fit".to_owned());
    }
    Ok((format, body))
}

fn checksum(format: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&format.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}
