//! A plan as Markdown for a pull request: the worst first, everything destroyed named before
//! anything is folded, and never longer than a comment may be.
//!
//! Two things may not happen whatever a value holds: that it ends its fence, and that it is taken
//! for HTML, a mention or a reference. Fences are longer than any run of backticks in them, and
//! what stands outside of one is escaped.

use crate::diff::{Piece, Tag};
use crate::render::text::{Detail, body, changed_names, noted, remarks};
use crate::review::{Drifted, DryRun, Entry, Review, Risk, nothing};
use std::fmt::Write as _;

/// GitHub refuses comments of more than 65,536 characters; bytes are never fewer.
pub const MOST: usize = 65_536;
/// Below this a plan cannot be said any more.
pub const LEAST: usize = 2_048;
/// The share of the whole that the table of resources may take.
const TABLE: usize = 4;
/// The share that the list of what is destroyed may take.
const DESTROYED: usize = 2;
/// What the last lines may need: the count of what is left out, and the footer.
const TAIL: usize = 700;
/// The most that one cell or one note takes, in characters.
const CELL: usize = 300;
/// The most that one line of a diff takes, in characters.
const WIDEST: usize = 2_000;

/// What stands around the plan.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// The price difference, such as `+$48.00 a month`.
    pub difference: Option<String>,
    /// What everything costs, as Markdown of ours.
    pub price: String,
    /// What the API would refuse, and what else was found, each in one line.
    pub findings: Vec<String>,
    /// Lines for the end: commit, digests, what it cost.
    pub footer: Vec<String>,
}

/// The whole plan in at most `most` bytes.
pub fn markdown(review: &Review, around: &Around, most: usize) -> String {
    let most = most.clamp(LEAST, MOST);
    let footer = footer(around);
    let room = most.saturating_sub(TAIL.max(footer.len() + 300));
    let mut page = Page {
        text: String::new(),
        room,
        left_out: 0,
    };
    title(&mut page, review, around);
    destroyed(&mut page, review, room / DESTROYED);
    table(&mut page, review, room / TABLE);
    warnings(&mut page, review, around);
    drift(&mut page, &review.drift);
    price(&mut page, around);
    for entry in review.by_risk() {
        details(&mut page, entry);
    }
    for run in &review.dry_runs {
        dry_run(&mut page, run);
    }
    let mut text = page.text;
    if page.left_out > 0 {
        let _ = writeln!(
            text,
            "\n**{} more are not shown here**: this comment has no room for them. `kplan plan` and \
             `kplan show` show everything.",
            page.left_out
        );
    }
    text.push_str(&footer);
    text
}

/// What is written, and how much of it there may be.
struct Page {
    text: String,
    room: usize,
    left_out: usize,
}

impl Page {
    /// Adds a part, if there is room for it.
    fn add(&mut self, part: &str) -> bool {
        let fits = self.text.len() + part.len() <= self.room;
        if fits {
            self.text.push_str(part);
        }
        fits
    }

    fn free(&self) -> usize {
        self.room.saturating_sub(self.text.len())
    }
}

fn title(page: &mut Page, review: &Review, around: &Around) {
    let mut line = format!("## kplan: {}", escaped(&review.cluster));
    if review.is_empty() {
        line.push_str(": no changes");
    } else {
        let _ = write!(line, ": {}", review.counts.sentence());
    }
    if let Some(price) = &around.difference {
        let _ = write!(line, " · {}", escaped(price));
    }
    line.push_str("\n\n");
    page.add(&line);
    if review.is_empty() {
        page.add(&format!("{}\n\n", nothing(review)));
    }
}

/// Everything that is destroyed, by name. Nothing of it is ever folded.
fn destroyed(page: &mut Page, review: &Review, room: usize) {
    let gone: Vec<&Entry> = review
        .by_risk()
        .into_iter()
        .filter(|entry| entry.sign.destroys())
        .collect();
    if gone.is_empty() {
        return;
    }
    let mut part = format!("> [!CAUTION]\n> **{} destroyed:**\n", gone.len());
    // Named in full while there is room, then by name alone, then counted.
    let mut told = 0;
    for entry in &gone {
        let line = destroyed_line(entry);
        if part.len() + line.len() > room / 2 {
            break;
        }
        part.push_str(&line);
        told += 1;
    }
    let rest: Vec<&str> = gone[told..].iter().map(|it| it.address.as_str()).collect();
    if !rest.is_empty() {
        let (names, unnamed) = names(&rest, room.saturating_sub(part.len() + 120));
        let _ = write!(part, "> - {names}");
        if unnamed > 0 {
            let _ = write!(
                part,
                " and **{unnamed} more**, for which there is no room here"
            );
        }
        part.push('\n');
    }
    part.push('\n');
    page.add(&part);
}

fn destroyed_line(entry: &Entry) -> String {
    let mut line = format!("> - {}", code(&entry.address));
    if entry.sign != crate::review::Sign::Delete {
        line.push_str(" is replaced");
    }
    if let Some(loses) = &entry.loses {
        let _ = write!(line, ", **lost for ever:** {}", escaped(&cut(loses, CELL)));
    }
    line.push('\n');
    line
}

/// Addresses one after the other; those that only differ by an index together:
/// `` `droplet.workers[0…499]` ``.
fn names(addresses: &[&str], room: usize) -> (String, usize) {
    let mut sorted = addresses.to_vec();
    sorted.sort_by_key(|address| split(address));
    let mut runs: Vec<(String, usize)> = Vec::new();
    let mut at = 0;
    while at < sorted.len() {
        let (name, first) = split(sorted[at]);
        let mut length = 1;
        while let (Some(first), Some(next)) = (first, sorted.get(at + length)) {
            let wanted = first + u64::try_from(length).unwrap_or(u64::MAX);
            if split(next) != (name, Some(wanted)) {
                break;
            }
            length += 1;
        }
        let last = first.map_or(0, |first| first + u64::try_from(length - 1).unwrap_or(0));
        let text = match first {
            Some(first) if length > 1 => format!("`{name}[{first}…{last}]`"),
            _ => code(sorted[at]),
        };
        runs.push((text, length));
        at += length;
    }
    let mut out = String::new();
    let mut named = 0;
    for (text, length) in runs {
        if out.len() + text.len() + 2 > room {
            break;
        }
        if !out.is_empty() {
            out.push_str(", ");
        }
        out.push_str(&text);
        named += length;
    }
    (out, addresses.len() - named)
}

/// An address without its index, and the index.
fn split(address: &str) -> (&str, Option<u64>) {
    let parts = address.strip_suffix(']').and_then(|it| it.rsplit_once('['));
    match parts.and_then(|(name, index)| Some((name, index.parse().ok()?))) {
        Some((name, index)) => (name, Some(index)),
        None => (address, None),
    }
}

fn warnings(page: &mut Page, review: &Review, around: &Around) {
    let said = around.findings.iter().chain(&review.notes);
    for line in said {
        if !page.add(&format!("- {}\n", escaped(&cut(line, CELL * 2)))) {
            page.left_out += 1;
        }
    }
    if !around.findings.is_empty() || !review.notes.is_empty() {
        page.add("\n");
    }
}

fn table(page: &mut Page, review: &Review, room: usize) {
    if review.is_empty() {
        return;
    }
    let mut part = String::from("| | Resource | What |\n|---|---|---|\n");
    let entries = review.by_risk();
    let mut rows = 0;
    for entry in &entries {
        let row = row(entry);
        if part.len() + row.len() > room {
            break;
        }
        part.push_str(&row);
        rows += 1;
    }
    if rows < entries.len() {
        let _ = writeln!(part, "| | | and {} more |", entries.len() - rows);
    }
    part.push('\n');
    page.add(&part);
}

fn row(entry: &Entry) -> String {
    let mut what = match entry.risk {
        Risk::Loses | Risk::Destroys => format!("**{}**", escaped(&entry.verb)),
        _ => escaped(&entry.verb),
    };
    let changed = changed_names(entry);
    if !changed.is_empty() {
        let _ = write!(what, ": {}", escaped(&changed.join(", ")));
    }
    for because in entry.comes.iter().chain(&entry.because) {
        let _ = write!(what, ", {}", escaped(&cut(because, CELL)));
    }
    format!(
        "| `{}` | {} | {} |\n",
        entry.sign.symbol(),
        code(&entry.address),
        what
    )
}

/// One entry, folded. Where it is too long, its last lines are counted instead.
fn details(page: &mut Page, entry: &Entry) {
    let mut lines: Vec<String> = remarks(entry, Detail::Changes)
        .iter()
        .map(|remark| format!("# ({})", one_line(remark)))
        .collect();
    if let Some(loses) = &entry.loses {
        lines.push(format!("# lost for ever: {}", one_line(loses)));
    }
    lines.extend(
        body(entry, Detail::Changes)
            .iter()
            .map(|(tag, pieces)| diff_line(*tag, pieces)),
    );
    if lines.is_empty() {
        // The table says all there is.
        return;
    }
    let summary = format!("{} {}", entry.sign.symbol(), entry.sentence());
    folded(page, &summary, &lines);
}

fn dry_run(page: &mut Page, run: &DryRun) {
    let Some(object) = &run.object else {
        let why = run.error.as_deref().unwrap_or("nobody answered");
        let line = format!(
            "- {}: what changes in the cluster is an estimate: no dry run by the server: {why}",
            run.address
        );
        if !page.add(&format!("{}\n", escaped(&cut(&line, CELL * 2)))) {
            page.left_out += 1;
        }
        return;
    };
    let lines = run.lines.iter().map(|line| {
        let pad = Piece {
            text: " ".repeat(line.indent),
            strong: false,
        };
        let pieces: Vec<Piece> = std::iter::once(pad).chain(line.pieces.clone()).collect();
        diff_line(line.tag, &pieces)
    });
    let lines: Vec<String> = lines.collect();
    folded(page, &format!("{}: {object}", run.address), &lines);
}

/// Below this much room a fold would show nothing.
const WORTHWHILE: usize = 200;

fn folded(page: &mut Page, summary: &str, lines: &[String]) {
    let ticks = fence(lines);
    let head = format!(
        "<details><summary>{}</summary>\n\n{ticks}diff\n",
        html(&cut(&one_line(summary), CELL))
    );
    let tail = format!("{ticks}\n\n</details>\n");
    let around = head.len() + tail.len() + 40;
    if page.free() < around + WORTHWHILE.min(lines.iter().map(|line| line.len() + 1).sum()) {
        page.left_out += 1;
        return;
    }
    let mut inner = String::new();
    let room = page.free() - around;
    let mut shown = 0;
    for line in lines {
        if inner.len() + line.len() + 1 > room {
            break;
        }
        inner.push_str(line);
        inner.push('\n');
        shown += 1;
    }
    if shown < lines.len() {
        let _ = writeln!(inner, "# ({} more lines)", lines.len() - shown);
    }
    if !page.add(&format!("{head}{inner}{tail}")) {
        page.left_out += 1;
    }
}

/// A line of a diff fence: `+`, `-` and `!` stand in the first column, where GitHub colours them.
fn diff_line(tag: Tag, pieces: &[Piece]) -> String {
    let mark = match tag {
        Tag::Added => '+',
        Tag::Removed => '-',
        Tag::Changed => '!',
        Tag::Same | Tag::Note => ' ',
    };
    let pieces = noted(tag, pieces.to_vec());
    let text: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
    let line = format!("{mark} {}", cut(&one_line(&text), WIDEST));
    line.trim_end().to_owned()
}

/// More backticks than any line has in a row.
fn fence(lines: &[String]) -> String {
    let longest = lines
        .iter()
        .map(|line| run_of_ticks(line))
        .max()
        .unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

fn run_of_ticks(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

fn drift(page: &mut Page, drift: &[Drifted]) {
    if drift.is_empty() {
        return;
    }
    let mut part = String::from(
        "**Changed outside of kplan**\n\n| Resource | Field | Recorded | Real | File |\n|---|---|---|---|---|\n",
    );
    for one in drift {
        if one.vanished {
            let _ = writeln!(part, "| {} | | | **deleted** | |", code(&one.address));
        }
        for field in &one.fields {
            let cell = |text: &str| code(&cut(text, CELL));
            let file = field.file.as_deref().map_or(String::new(), cell);
            let _ = writeln!(
                part,
                "| {} | {} | {} | {} | {file} |",
                code(&one.address),
                code(&field.field),
                cell(&field.recorded),
                cell(&field.real),
            );
        }
    }
    part.push('\n');
    if page.add(&part) {
        return;
    }
    let addresses: Vec<&str> = drift.iter().map(|one| one.address.as_str()).collect();
    let (names, unnamed) = names(&addresses, page.free() / 4);
    page.left_out += unnamed;
    page.add(&format!("**Changed outside of kplan**: {names}\n\n"));
}

/// What it costs, folded; left out where there is no room.
fn price(page: &mut Page, around: &Around) {
    if around.price.is_empty() {
        return;
    }
    let part = format!(
        "<details><summary>What it costs</summary>\n\n{}\n</details>\n",
        around.price
    );
    if part.len() <= page.free() / 4 {
        page.add(&part);
    }
}

fn footer(around: &Around) -> String {
    if around.footer.is_empty() {
        return String::new();
    }
    let said: Vec<String> = around
        .footer
        .iter()
        .map(|line| escaped(&cut(line, CELL)))
        .collect();
    format!("\n<sub>{}</sub>\n", said.join(" · "))
}

/// At most so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(most).collect();
    out.push('…');
    out
}

/// Without line ends and other control characters.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

/// As code: what is in it is neither Markdown nor HTML, in a table neither.
fn code(text: &str) -> String {
    let text = one_line(text).replace('|', "\\|");
    let ticks = "`".repeat(run_of_ticks(&text) + 1);
    if text.starts_with('`') || text.ends_with('`') || text.trim().is_empty() {
        return format!("{ticks} {text} {ticks}");
    }
    format!("{ticks}{text}{ticks}")
}

/// As text: `CommonMark` takes a backslash before any punctuation of ASCII. GitHub looks for mentions
/// and references after that, so an invisible character stands behind what begins one.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' | '#' => {
                out.push('\\');
                out.push(c);
                out.push('\u{200b}');
            }
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '|' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// As text of an HTML element, in a line that `CommonMark` takes for HTML.
fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' | '#' => {
                out.push(c);
                out.push('\u{200b}');
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
