//! Plans as Markdown: well-formed and short enough whatever they hold.

use super::*;
use crate::review::testing::{HIDDEN, plan};
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag as Element, TagEnd};

fn around() -> Around {
    Around {
        difference: Some("+$48.00 a month".to_owned()),
        price: "**Price**\n\n| a | b |\n|---|---|\n| 1 | 2 |\n".to_owned(),
        findings: vec!["<b>account</b> @limit".to_owned()],
        footer: vec!["commit 0123456789ab".to_owned()],
    }
}

/// The page as a `CommonMark` reader sees it: only our own HTML, every fence closed, nothing that a
/// value holds taken for markup.
fn check(page: &str, review: &Review, most: usize) -> Result<(), TestCaseError> {
    prop_assert!(page.len() <= most, "{} > {most}", page.len());
    prop_assert!(!page.contains(HIDDEN));
    let harmful = ['\u{1b}', '\u{0}'];
    prop_assert!(!page.contains(harmful));
    let options = Options::ENABLE_TABLES | Options::ENABLE_GFM;
    let (mut open, mut closed, mut fences) = (0, 0, 0);
    for event in Parser::new_ext(page, options) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => {
                let html = html.trim();
                let rest = html.strip_prefix("<details><summary>");
                if let Some(inner) = rest.and_then(|rest| rest.strip_suffix("</summary>")) {
                    open += 1;
                    prop_assert!(!inner.contains('<'), "{html}");
                } else if html == "</details>" {
                    closed += 1;
                } else if html == "</details>\n<details>" {
                    prop_assert!(false, "{html}");
                } else {
                    prop_assert!(["<sub>", "</sub>", ""].contains(&html), "{html}");
                }
            }
            Event::Start(Element::CodeBlock(_)) => fences += 1,
            Event::Start(Element::Link { .. } | Element::Image { .. }) => {
                prop_assert!(false, "a link:\n{page}");
            }
            Event::End(TagEnd::Heading(_)) => {
                prop_assert_eq!(page.matches("\n## ").count() + 1, 1);
            }
            _ => {}
        }
    }
    prop_assert_eq!(open, closed);
    let priced = usize::from(page.contains("What it costs"));
    prop_assert_eq!(open, fences + priced);
    prop_assert_eq!(page.matches("<details>").count(), open);
    named(page, review, most)
}

/// Whatever is destroyed stands above the fold: by name, or, where there is no room for all, counted.
fn named(page: &str, review: &Review, most: usize) -> Result<(), TestCaseError> {
    let fold = page.find("<details>").unwrap_or(page.len());
    let gone = review.entries.iter().filter(|entry| entry.sign.destroys());
    let hidden = gone.filter(|entry| !is_named(&page[..fold], &entry.address));
    let hidden = hidden.count();
    if most == MOST {
        prop_assert_eq!(hidden, 0, "{}", page);
    } else if hidden > 0 {
        prop_assert!(
            page[..fold].contains("for which there is no room here"),
            "{page}"
        );
    }
    Ok(())
}

/// Whether a page names an address, alone or among those that only differ by an index.
fn is_named(page: &str, address: &str) -> bool {
    let (name, index) = split(address);
    let among = |index: u64| {
        let mark = format!("`{name}[");
        let mut runs = page.split(&mark).skip(1);
        runs.any(|rest| {
            let run = rest.split(']').next().and_then(|run| run.split_once('…'));
            let bounds = run.map(|(first, last)| (first.parse::<u64>(), last.parse::<u64>()));
            matches!(bounds, Some((Ok(first), Ok(last))) if (first..=last).contains(&index))
        })
    };
    page.contains(&format!("`{address}`")) || index.is_some_and(among)
}

/// How many random plans.
const PLANS: u64 = 10_000;

#[test]
fn ten_thousand_random_plans_fit_are_well_formed_and_name_what_is_destroyed() {
    for seed in 0..PLANS {
        let review = plan(seed, 0, 8).review();
        // Every third is for the smallest comment, every third for one of GitHub's.
        let most = match seed % 3 {
            0 => MOST,
            1 => LEAST,
            _ => LEAST + usize::try_from(seed * 13).unwrap() % (MOST - LEAST),
        };
        let page = markdown(&review, &around(), most);
        if let Err(error) = check(&page, &review, most) {
            panic!("seed {seed}: {error}");
        }
    }
}

#[test]
fn a_plan_of_thousands_is_cut_and_says_so() {
    let review = plan(1, 2_000, 0).review();
    let page = markdown(&review, &around(), MOST);
    assert!(
        page.len() <= MOST && page.len() > MOST / 2,
        "{}",
        page.len()
    );
    assert!(page.contains("more are not shown here"), "{page}");
}

#[test]
fn the_table_stands_before_the_notes_however_many_there_are() {
    let mut review = plan(1, 20, 0).review();
    review.notes = (0..2_000).map(|at| format!("note {at} of many")).collect();
    let page = markdown(&review, &around(), LEAST * 4);
    let table = page.find("| | Resource | What |").expect("the table");
    let note = page.find("note 0 of many").expect("a note");
    assert!(table < note, "{page}");
    assert!(page.contains("more are not shown here"), "{page}");
}

#[test]
fn indexes_in_a_row_are_told_together() {
    let all: Vec<String> = (0..500)
        .map(|at| format!("droplet.workers[{at}]"))
        .collect();
    let mut names_of: Vec<&str> = all.iter().map(String::as_str).collect();
    names_of.extend(["vpc.main", "droplet.workers[7000]"]);
    assert_eq!(
        names(&names_of, 1_000),
        (
            "`droplet.workers[0…499]`, `droplet.workers[7000]`, `vpc.main`".to_owned(),
            0
        )
    );
    assert_eq!(
        names(&names_of, 30),
        ("`droplet.workers[0…499]`".to_owned(), 2)
    );
}

#[test]
fn what_a_value_holds_is_no_markup() {
    assert_eq!(
        escaped("<b> @you #1 `x` [a](b)"),
        "&lt;b&gt; \\@\u{200b}you \\#\u{200b}1 \\`x\\` \\[a\\](b)"
    );
    assert_eq!(code("a`b|c"), "``a`b\\|c``");
    assert_eq!(code("`"), "`` ` ``");
    assert_eq!(fence(&["````".to_owned(), "x".to_owned()]), "`````");
    assert_eq!(html("<a> & `b`"), "&lt;a&gt; &amp; `b`");
}
