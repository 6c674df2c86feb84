//! Prices as people and machines read them.

use super::{Cents, Change, Prices};
use kplan_model::Address;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Resources that are told apart are shown in one line each; more of one block in one for all.
struct Line {
    count: usize,
    change: Change,
}

/// The whole in a sentence.
pub fn sentence(prices: &Prices) -> String {
    let Prices { before, after, .. } = prices;
    let difference = *after - *before;
    if prices.at_least {
        // The difference of what is known would be taken for the difference.
        return format!("Price: {before} a month -> at least {after}.");
    }
    if difference == Cents(0) {
        return format!("Price: {after} a month, no change.");
    }
    format!(
        "Price: {before} a month -> {after} ({}).",
        difference.signed()
    )
}

/// What stands costs.
pub fn standing_sentence(prices: &Prices) -> String {
    format!("Price: {} a month.", prices.after)
}

/// What goes on being billed, one by one: what stays on record, and what stays in the account.
fn continuing(prices: &Prices) -> Vec<(String, Option<Cents>)> {
    let lines = lines(prices).into_iter();
    let kept = lines.filter(|(_, line)| line.change.after > Cents(0));
    let kept = kept.map(|(name, line)| {
        let label = match line.count {
            1 => name,
            count => format!("{name} ({count})"),
        };
        (label, Some(line.change.after))
    });
    let staying = prices.staying.iter();
    kept.chain(staying.map(|one| (one.what.clone(), one.monthly)))
        .collect()
}

/// What goes on being billed after a destroy, in a sentence.
pub fn goes_on(prices: &Prices) -> String {
    // What costs nothing, such as a domain, is not billed.
    let all: Vec<String> = continuing(prices)
        .into_iter()
        .filter(|(_, monthly)| *monthly != Some(Cents(0)))
        .map(|(what, monthly)| match monthly {
            Some(monthly) => format!("{what} {monthly}"),
            None => format!("{what}, whose price is not known"),
        })
        .collect();
    if all.is_empty() {
        return "Nothing goes on being billed.".to_owned();
    }
    format!(
        "What goes on being billed: {} a month: {}.",
        prices.after,
        all.join(", ")
    )
}

/// What a destroy ends and what it does not; nothing for any other plan.
fn ends(prices: &Prices) -> Option<String> {
    prices.ends.then(|| {
        format!(
            "What ends: {} a month. {}",
            prices.before - prices.after,
            goes_on(prices)
        )
    })
}

/// The sentence, what changes of it, what is not in it, and of which day it is.
pub fn text(prices: &Prices) -> String {
    let mut out = format!("{}\n", sentence(prices));
    let lines = lines(prices);
    let width = lines.keys().map(|name| name.len() + 8).max().unwrap_or(0);
    for (name, line) in &lines {
        let Change { before, after } = line.change;
        if before == after {
            continue;
        }
        let label = match line.count {
            1 => name.clone(),
            count => format!("{name} ({count})"),
        };
        let _ = writeln!(out, "  {label:width$}  {before} -> {after}");
    }
    if let Some(ends) = ends(prices) {
        let _ = writeln!(out, "  {ends}");
    }
    for (why, addresses) in unpriced(prices) {
        let _ = writeln!(out, "  not priced: {addresses}: {why}");
    }
    if let Some(day) = prices.dated
        && (prices.before, prices.after) != (Cents(0), Cents(0))
    {
        let _ = writeln!(
            out,
            "  Droplets by DigitalOcean's API, everything else as of {day}; without taxes and traffic."
        );
    }
    out
}

/// The same as Markdown.
pub fn markdown(prices: &Prices) -> String {
    let mut out = format!("**{}**\n", sentence(prices));
    let lines = lines(prices).into_iter();
    let changed = lines.filter(|(_, line)| line.change.before != line.change.after);
    for (at, (name, line)) in changed.enumerate() {
        if at == 0 {
            out.push_str("\n| Resource | Before | After | Difference |\n|---|---:|---:|---:|\n");
        }
        let Change { before, after } = line.change;
        let times = match line.count {
            1 => String::new(),
            count => format!(" × {count}"),
        };
        let difference = (after - before).signed();
        let _ = writeln!(
            out,
            "| `{name}`{times} | {before} | {after} | {difference} |"
        );
    }
    if let Some(ends) = ends(prices) {
        let _ = writeln!(out, "\n{ends}");
    }
    let unpriced = unpriced(prices);
    if !unpriced.is_empty() {
        out.push_str("\nNot priced:\n\n");
    }
    for (why, addresses) in unpriced {
        let _ = writeln!(out, "- {addresses}: {why}");
    }
    if let Some(day) = prices.dated {
        let _ = writeln!(
            out,
            "\nDroplets by DigitalOcean's API, everything else as of {day}; without taxes and traffic."
        );
    }
    out
}

/// The same for machines: amounts are texts with two decimals.
pub fn document(prices: &Prices) -> Json {
    let amounts = |before: Cents, after: Cents| {
        json!({
            "before": before.plain(),
            "after": after.plain(),
            "difference": (after - before).plain(),
        })
    };
    let resources: Vec<Json> = prices
        .per
        .iter()
        .map(|(address, change)| {
            let mut one = amounts(change.before, change.after);
            one["address"] = json!(address.to_string());
            one
        })
        .collect();
    let not_priced: Vec<Json> = prices
        .not_priced
        .iter()
        .map(|item| json!({ "address": item.address.to_string(), "why": item.why }))
        .collect();
    let mut document = amounts(prices.before, prices.after);
    document["currency"] = json!("USD");
    document["per"] = json!("month");
    document["dated"] = json!(prices.dated);
    document["resources"] = json!(resources);
    document["not_priced"] = json!(not_priced);
    if prices.ends {
        document["ends"] = json!((prices.before - prices.after).plain());
        let continuing = continuing(prices).into_iter();
        let continuing = continuing
            .map(|(what, monthly)| json!({ "what": what, "monthly": monthly.map(Cents::plain) }));
        document["continues"] = json!(continuing.collect::<Vec<Json>>());
    }
    document
}

/// By block: `droplet.workers` for all of its indices.
fn block(address: &Address) -> String {
    format!("{}.{}", address.kind(), address.name())
}

fn lines(prices: &Prices) -> BTreeMap<String, Line> {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for (address, change) in &prices.per {
        let line = lines.entry(block(address)).or_insert(Line {
            count: 0,
            change: Change::default(),
        });
        line.count += 1;
        line.change.before = line.change.before + change.before;
        line.change.after = line.change.after + change.after;
    }
    lines
}

/// Reasons, each with the blocks it is said of.
fn unpriced(prices: &Prices) -> BTreeMap<&str, String> {
    let mut by_reason: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    for item in &prices.not_priced {
        let blocks = by_reason.entry(&item.why).or_default();
        *blocks.entry(block(&item.address)).or_default() += 1;
    }
    let named = |blocks: BTreeMap<String, usize>| {
        let all: Vec<String> = blocks
            .into_iter()
            .map(|(name, count)| match count {
                1 => name,
                count => format!("{name} ({count})"),
            })
            .collect();
        all.join(", ")
    };
    by_reason
        .into_iter()
        .map(|(why, blocks)| (why, named(blocks)))
        .collect()
}
