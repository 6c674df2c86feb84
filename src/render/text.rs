//! A plan as people read it on a terminal: Terraform's symbols and sentences.

use crate::diff::{Line, Piece, Tag};
use crate::render::value::LINES;
use crate::render::{Paint, paint};
use crate::review::{Attribute, Becomes, Drifted, DryRun, Entry, Review, Sign, Tri, nothing};
use std::fmt::Write as _;

/// How much is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// One line for each resource.
    Summary,
    /// What changes.
    #[default]
    Changes,
    /// Everything: also what stays, long texts whole, and what each step waits for.
    Full,
}

/// In which order resources are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As they are carried out.
    #[default]
    Dependency,
    /// The most dangerous first.
    Risk,
}

/// How a plan is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// With colour.
    pub color: bool,
    /// How much.
    pub detail: Detail,
    /// In which order.
    pub order: Order,
}

/// The whole plan as text: drift, what would be done, how many.
pub fn text(review: &Review, style: Style) -> String {
    let mut out = String::new();
    drift(&mut out, &review.drift, style);
    if review.is_empty() {
        let _ = writeln!(out, "{}", nothing(review));
        return out;
    }
    let entries: Vec<&Entry> = match style.order {
        Order::Dependency => review.entries.iter().collect(),
        Order::Risk => review.by_risk(),
    };
    legend(&mut out, &entries, style.color);
    out.push_str("kplan will perform the following actions:\n");
    if style.detail == Detail::Summary {
        out.push('\n');
    }
    for one in entries {
        match style.detail {
            Detail::Summary => summary(&mut out, one, style.color),
            Detail::Changes | Detail::Full => entry(&mut out, one, style),
        }
    }
    let title = paint(style.color, Paint::Bold, "Plan:");
    let _ = writeln!(out, "\n{title} {}.", review.counts.sentence());
    out
}

/// The colour of a symbol.
const fn ink(sign: Sign) -> Paint {
    match sign {
        Sign::Create => Paint::Green,
        Sign::Update => Paint::Yellow,
        Sign::Wait | Sign::Operate | Sign::Import | Sign::Move => Paint::Cyan,
        Sign::Delete | Sign::DeleteCreate | Sign::CreateDelete | Sign::Forget => Paint::Red,
        Sign::Record => Paint::Dim,
    }
}

fn signed(sign: Sign, color: bool) -> String {
    paint(color, ink(sign), &format!("{:>3}", sign.symbol()))
}

fn legend(out: &mut String, entries: &[&Entry], color: bool) {
    let shown = |sign: &Sign| entries.iter().any(|entry| entry.sign == *sign);
    let signs = Sign::ALL.into_iter().filter(shown);
    let meanings = signs.filter_map(|sign| Some((sign, sign.meaning()?)));
    let meanings: Vec<(Sign, &str)> = meanings.collect();
    if meanings.is_empty() {
        return;
    }
    out.push_str("Resource actions are indicated with the following symbols:\n");
    for (sign, meaning) in meanings {
        let _ = writeln!(out, "{} {meaning}", signed(sign, color));
    }
    out.push('\n');
}

/// One line: what is done, why, and what is lost.
fn summary(out: &mut String, entry: &Entry, color: bool) {
    let _ = write!(out, "{} {}", signed(entry.sign, color), entry.address);
    match entry.sign {
        Sign::Operate | Sign::Record | Sign::Wait | Sign::Import | Sign::Move => {
            let _ = write!(out, " {}", entry.verb);
        }
        _ => {}
    }
    let changed = changed_names(entry);
    if !changed.is_empty() {
        let _ = write!(out, " ({})", changed.join(", "));
    }
    if let Some(because) = entry.comes.as_ref().or(entry.because.as_ref()) {
        let _ = write!(out, ", {because}");
    }
    if let Some(loses) = &entry.loses {
        let lost = format!("loses {loses}");
        let _ = write!(out, "; {}", paint(color, Paint::Red, &lost));
    }
    out.push('\n');
}

/// The names of the attributes that change.
pub fn changed_names(entry: &Entry) -> Vec<&str> {
    let attributes = entry.attributes.iter();
    attributes
        .filter(|attribute| attribute.becomes == Becomes::Changed)
        .map(|attribute| attribute.name.as_str())
        .collect()
}

fn entry(out: &mut String, entry: &Entry, style: Style) {
    let color = style.color;
    let sentence = paint(color, Paint::Bold, &entry.sentence());
    let _ = writeln!(out, "\n  # {sentence}");
    for remark in remarks(entry, style.detail) {
        let _ = writeln!(out, "  # ({remark})");
    }
    if let Some(loses) = &entry.loses {
        let text = format!("this loses {loses} for ever");
        let _ = writeln!(out, "  # {}", paint(color, Paint::Red, &text));
    }
    let sign = signed(entry.sign, color);
    match entry.sign {
        Sign::Record => {}
        Sign::Wait | Sign::Operate | Sign::Import | Sign::Move | Sign::Forget => {
            let _ = writeln!(out, "{sign} {}", entry.address);
        }
        _ => {
            let _ = writeln!(out, "{sign} {} {{", entry.address);
            for (tag, line) in body(entry, style.detail) {
                marked(out, tag, &line, color);
            }
            out.push_str("    }\n");
        }
    }
}

/// What stands in brackets under an entry's sentence. What something new waits for is the order of
/// things; what waits before it is destroyed or changed is worth a line.
pub fn remarks(entry: &Entry, detail: Detail) -> Vec<String> {
    let goes = entry.goes_with.iter();
    let waits = entry.waits();
    let told = !matches!(entry.sign, Sign::Create | Sign::Record) || detail == Detail::Full;
    let mut all: Vec<String> = entry.comes.iter().chain(&entry.because).cloned().collect();
    all.extend(goes.map(|container| format!("goes with {container}")));
    all.extend(waits.filter(|_| told && entry.goes_with.is_none()));
    all
}

/// So many lines are shown instead of counted.
const FEW: usize = 6;

/// Lines of an entry, each with what it says: the attributes' names stand in a column.
pub fn body(entry: &Entry, detail: Detail) -> Vec<(Tag, Vec<Piece>)> {
    let full = detail == Detail::Full;
    let listed = |one: &&Attribute| full || one.becomes != Becomes::Same;
    let width = entry.attributes.iter().filter(listed);
    let width = width.map(|one| one.name.len()).max().unwrap_or(0);
    let mut out = Vec::new();
    for attribute in entry.attributes.iter().filter(listed) {
        lines(&mut out, attribute, width, full);
    }
    let hidden = entry.attributes.len() - entry.attributes.iter().filter(listed).count();
    if hidden > 0 {
        let text = format!("({hidden} unchanged attributes hidden)");
        out.push((Tag::Note, vec![plain(text)]));
    }
    out
}

fn lines(out: &mut Vec<(Tag, Vec<Piece>)>, attribute: &Attribute, width: usize, full: bool) {
    let name = &attribute.name;
    let tag = match attribute.becomes {
        Becomes::New => Tag::Added,
        Becomes::Gone => Tag::Removed,
        Becomes::Changed => Tag::Changed,
        Becomes::Same => Tag::Same,
    };
    let remark = attribute
        .remark
        .as_ref()
        .map(|it| plain(format!(" # {it}")));
    let inline = match attribute.lines.first() {
        // A change of one line stands beside its name, one of several below it.
        Some(first) if attribute.becomes != Becomes::Changed || is_one(attribute) => Some(first),
        _ => None,
    };
    let mut head = vec![plain(format!("{name:width$} ="))];
    if let Some(first) = inline {
        head.push(plain(" ".to_owned()));
        head.extend(first.pieces.iter().cloned());
    }
    head.extend(remark);
    out.push((tag, head));
    let rest = &attribute.lines[usize::from(inline.is_some()).min(attribute.lines.len())..];
    let most = if full || attribute.becomes == Becomes::Changed {
        usize::MAX
    } else {
        LINES
    };
    // What closes a value of several lines is shown in any case, and a few lines more are no reason
    // to leave them out.
    let cut = rest.len().saturating_sub(1) > most.saturating_add(FEW);
    let shown = if cut { most } else { rest.len() };
    for line in rest.iter().take(shown) {
        out.push((line.tag, indented(line)));
    }
    if let Some(last) = rest.last().filter(|_| cut) {
        let more = rest.len() - 1 - shown;
        out.push((last.tag, vec![plain(format!("    # ({more} more lines)"))]));
        out.push((last.tag, indented(last)));
    }
}

fn is_one(attribute: &Attribute) -> bool {
    matches!(&attribute.lines[..], [only] if only.tag == Tag::Changed && only.indent == 0)
}

/// The text of a note begins as a comment does.
pub fn noted(tag: Tag, mut pieces: Vec<Piece>) -> Vec<Piece> {
    if tag == Tag::Note {
        let at = pieces.iter().position(|it| !it.text.trim().is_empty());
        pieces.insert(at.unwrap_or(0), plain("# ".to_owned()));
    }
    pieces
}

fn indented(line: &Line) -> Vec<Piece> {
    let pad = " ".repeat(line.indent);
    std::iter::once(plain(pad))
        .chain(line.pieces.iter().cloned())
        .collect()
}

fn plain(text: String) -> Piece {
    Piece {
        text,
        strong: false,
    }
}

/// The mark of a line and its colour.
const fn mark(tag: Tag) -> Option<(&'static str, Paint)> {
    match tag {
        Tag::Added => Some(("+", Paint::Green)),
        Tag::Removed => Some(("-", Paint::Red)),
        Tag::Changed => Some(("~", Paint::Yellow)),
        Tag::Same | Tag::Note => None,
    }
}

/// A line of a diff behind its mark.
fn marked(out: &mut String, tag: Tag, pieces: &[Piece], color: bool) {
    let mark = mark(tag);
    let mark = mark.map_or_else(|| " ".to_owned(), |(text, ink)| paint(color, ink, text));
    let _ = writeln!(out, "      {mark} {}", painted(tag, pieces, color));
}

/// The pieces of a line: the words that differ stand out.
fn painted(tag: Tag, pieces: &[Piece], color: bool) -> String {
    let strong = match tag {
        Tag::Removed => Paint::Red,
        Tag::Added => Paint::Green,
        _ => Paint::Bold,
    };
    let mut out = String::new();
    for piece in noted(tag, pieces.to_vec()) {
        match (tag, piece.strong) {
            (Tag::Note, _) => out.push_str(&paint(color, Paint::Dim, &piece.text)),
            (_, true) => out.push_str(&paint(color, strong, &piece.text)),
            (_, false) => out.push_str(&piece.text),
        }
    }
    let trimmed = out.trim_end_matches(' ').len();
    out.truncate(trimmed);
    out
}

/// What differs, outside of an entry.
pub fn dry_run(run: &DryRun, color: bool) -> String {
    let mut out = String::new();
    let Some(object) = &run.object else {
        let why = run.error.as_deref().unwrap_or("nobody answered");
        let _ = writeln!(
            out,
            "Note: {}: what changes in the cluster is an estimate: no dry run by the server: {why}",
            run.address
        );
        return out;
    };
    let _ = writeln!(
        out,
        "\n  # {}: the server's dry run of {object}",
        run.address
    );
    for line in &run.lines {
        marked(&mut out, line.tag, &indented(line), color);
    }
    out
}

/// What changed outside of kplan, in three columns; nothing where nothing did.
pub fn drift(out: &mut String, drift: &[Drifted], style: Style) {
    if drift.is_empty() {
        return;
    }
    out.push_str("Note: Objects have changed outside of kplan\n");
    for change in drift {
        let verb = if change.vanished {
            "has been deleted"
        } else {
            "has changed"
        };
        let address = paint(style.color, Paint::Bold, &change.address);
        let _ = writeln!(out, "\n  # {address} {verb}");
        columns(out, &change.fields, style.color);
    }
    let _ = writeln!(out, "\n{}\n", "─".repeat(77));
}

/// What stands in the third column where the file does not say.
const SILENT: &str = "(not in the file)";

fn columns(out: &mut String, fields: &[Tri], color: bool) {
    let (short, long): (Vec<&Tri>, Vec<&Tri>) =
        fields.iter().partition(|field| field.lines.is_none());
    if !short.is_empty() {
        table(out, &short);
    }
    for field in long {
        let [outside, wanted] = field.lines.as_ref().map_or([&[][..], &[]], |[a, b]| [a, b]);
        let file = match (&field.file, wanted) {
            (None, _) => "does not say",
            (Some(_), []) => "says what is real",
            (Some(file), _) if *file == field.recorded => "says what is on record",
            (Some(_), _) => "says something else",
        };
        let _ = writeln!(
            out,
            "      ~ {}: from what is on record to what is real; the file {file}",
            field.field
        );
        for line in outside {
            marked(out, line.tag, &indented(line), color);
        }
    }
}

/// Three columns.
fn table(out: &mut String, fields: &[&Tri]) {
    let width = |column: fn(&Tri) -> &str, title: &str| {
        let widths = fields.iter().map(|field| column(field).chars().count());
        widths.chain([title.len()]).max().unwrap_or(0)
    };
    let name = width(|field| &field.field, "");
    let recorded = width(|field| &field.recorded, "recorded");
    let real = width(|field| &field.real, "real");
    let _ = writeln!(
        out,
        "        {:name$}   {:recorded$}   {:real$}   file",
        "", "recorded", "real"
    );
    for field in fields {
        let file = field.file.as_deref().unwrap_or(SILENT);
        let _ = writeln!(
            out,
            "      ~ {:name$}   {:recorded$}   {:real$}   {file}",
            field.field, field.recorded, field.real
        );
    }
}
