//! DNS records: what tells one from another, how values are spelled, and domains that are not there.

use crate::cases::{a_domain, record_args};
use crate::world::{World, attr, permit};
use kplan_model::codec::ObjectCodec;
use kplan_model::{Address, ErrorKind, FieldSet, Object, Value};
use kplan_providers::digitalocean::DomainRecordArgs;
use serde_json::json;

const RECORDS: &str = "/v2/domains/example.com/records";

fn of_mail(name: &str, value: &str) -> Object {
    let args = DomainRecordArgs {
        priority: Some(10),
        ..record_args("MX", name, value)
    };
    args.to_object()
}

#[tokio::test(start_paused = true)]
async fn every_type_reads_back_as_it_was_asked_for() {
    let world = World::new();
    a_domain(&world, "example.com").await;
    let service = DomainRecordArgs {
        priority: Some(0),
        port: Some(443),
        weight: Some(0),
        ..record_args("SRV", "_https._tcp", "www.example.net")
    };
    let all = [
        record_args("A", "*.apps", "203.0.113.7").to_object(),
        record_args("AAAA", "@", "2001:db8::7").to_object(),
        record_args("CNAME", "www", "shop.example.net").to_object(),
        record_args("CNAME", "self", "@").to_object(),
        of_mail("@", "mail.example.net"),
        record_args("NS", "sub", "ns1.example.net").to_object(),
        service.to_object(),
        record_args("TXT", "_dmarc", "v=DMARC1; p=\"none\".").to_object(),
    ];
    let mut known = Vec::new();
    for (index, args) in all.iter().enumerate() {
        let address = format!("domain_record.r[{index}]");
        known.push(world.make(&address, args.clone()).await);
    }
    let observe = &world.entry(&known[0].address).observe;
    let before = world.statistics.api_calls();
    let seen = observe.read_all(&known).await.unwrap();
    assert_eq!(
        world.statistics.api_calls() - before,
        1,
        "one list for a domain"
    );
    for (known, args) in known.iter().zip(&all) {
        for (name, asked) in args {
            assert_eq!(
                seen[&known.id].get(name),
                Some(asked),
                "{}: {name}",
                known.address
            );
        }
    }
    assert_eq!(attr(&known[0], "fqdn"), "*.apps.example.com");
    assert_eq!(attr(&known[1], "fqdn"), "example.com");
    world.judge();
}

#[tokio::test(start_paused = true)]
async fn records_are_told_apart_by_domain_type_name_and_value() {
    let world = World::new();
    a_domain(&world, "example.com").await;
    a_domain(&world, "example.org").await;
    let ours = world
        .make("domain_record.ours", of_mail("@", "mail-1.example.com"))
        .await;
    world
        .make("domain_record.second", of_mail("@", "mail-2.example.com"))
        .await;
    world
        .make("domain_record.deeper", of_mail("sub", "mail-1.example.com"))
        .await;
    let observe = &world.entry(&ours.address).observe;
    let elsewhere = DomainRecordArgs {
        domain: "example.org".to_owned(),
        priority: Some(10),
        ..record_args("MX", "@", "mail-1.example.com")
    };
    let same = of_mail("@", "Mail-1.example.com.");
    let (none, elsewhere) = (of_mail("@", "mail-3.example.com"), elsewhere.to_object());
    let wanted: Vec<_> = [&same, &none, &elsewhere]
        .map(|args| world.wanted(&ours.address, args))
        .into();
    assert!(observe.finds_all());
    let before = world.statistics.api_calls();
    let found = observe.find_all(&wanted).await;
    assert_eq!(
        world.statistics.api_calls() - before,
        2,
        "one list for each domain"
    );
    let ids: Vec<Vec<_>> = found
        .into_iter()
        .map(|found| found.unwrap().into_iter().map(|one| one.id).collect())
        .collect();
    assert_eq!(ids, [vec![ours.id.clone()], vec![], vec![]]);
    // One look asks for one name, and finds the same.
    let alone = observe
        .find(world.wanted(&ours.address, &same))
        .await
        .unwrap();
    assert_eq!(alone.len(), 1);
    assert_eq!(alone[0].id, ours.id);
    world.judge();
}

#[tokio::test(start_paused = true)]
async fn a_host_changed_by_hand_is_seen_and_one_spelled_otherwise_is_not() {
    let world = World::new();
    a_domain(&world, "example.com").await;
    let args = record_args("CNAME", "www", "shop.example.net");
    let mut known = world.make("domain_record.www", args.to_object()).await;
    let (_, number) = known.id.as_str().split_once('/').unwrap();
    let path = format!("{RECORDS}/{number}");
    let observe = &world.entry(&known.address).observe;
    world
        .by_hand(
            "PATCH",
            &path,
            &json!({ "type": "CNAME", "data": "Shop.Example.net." }),
        )
        .await;
    known.attrs = observe.read(&known).await.unwrap().unwrap();
    assert_eq!(attr(&known, "value"), "shop.example.net");
    world
        .by_hand(
            "PATCH",
            &path,
            &json!({ "type": "CNAME", "data": "other.example.net." }),
        )
        .await;
    known.attrs = observe.read(&known).await.unwrap().unwrap();
    assert_eq!(attr(&known, "value"), "other.example.net");
    world.judge();
}

#[tokio::test(start_paused = true)]
async fn a_domain_that_is_not_there_is_told_with_what_to_do() {
    let world = World::new();
    let address: Address = "domain_record.www".parse().unwrap();
    let args = record_args("A", "www", "203.0.113.7").to_object();
    let entry = world.entry(&address);
    let looked = entry
        .observe
        .find(world.wanted(&address, &args))
        .await
        .unwrap_err();
    let permit = permit(&address);
    let made = entry
        .mutate
        .create(world.wanted(&address, &args), &permit)
        .await
        .unwrap_err();
    for error in [looked, made.error] {
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(
            error.message.contains("has no domain `example.com`"),
            "{error}"
        );
        let help = error.help.unwrap();
        assert!(
            help.contains("doctl compute domain create example.com"),
            "{help}"
        );
        assert!(help.contains("ns1.digitalocean.com"), "{help}");
    }
    world.judge();
}

#[tokio::test(start_paused = true)]
async fn with_its_domain_a_record_is_gone() {
    let world = World::new();
    a_domain(&world, "example.com").await;
    let args = record_args("A", "www", "203.0.113.7").to_object();
    let known = world.make("domain_record.www", args.clone()).await;
    world
        .by_hand("DELETE", "/v2/domains/example.com", &json!(null))
        .await;
    let entry = world.entry(&known.address);
    assert_eq!(entry.observe.read(&known).await.unwrap(), None);
    let all = entry
        .observe
        .read_all(std::slice::from_ref(&known))
        .await
        .unwrap();
    assert!(all.is_empty());
    let permit = permit(&known.address);
    entry.mutate.delete(&known, &permit).await.unwrap();
    let ttl: FieldSet = ["ttl"].into_iter().collect();
    let updated = entry.mutate.update(&known, &args, &ttl, &permit).await;
    assert_eq!(updated.unwrap_err().kind, ErrorKind::NotFound);
    world.judge();
}

/// Another record of a name with a CNAME may be going just now: it is waited for, as for whatever
/// is busy.
#[tokio::test(start_paused = true)]
async fn a_name_with_a_cname_is_busy() {
    let world = World::new();
    a_domain(&world, "example.com").await;
    let old = record_args("A", "www", "203.0.113.7").to_object();
    let old = world.make("domain_record.old", old).await;
    let address: Address = "domain_record.new".parse().unwrap();
    let new = record_args("CNAME", "www", "shop.example.net").to_object();
    let mutate = &world.entry(&address).mutate;
    let permit = permit(&address);
    let refused = mutate
        .create(world.wanted(&address, &new), &permit)
        .await
        .unwrap_err();
    assert_eq!(refused.error.kind, ErrorKind::Busy, "{}", refused.error);
    mutate.delete(&old, &permit).await.unwrap();
    let made = mutate
        .create(world.wanted(&address, &new), &permit)
        .await
        .unwrap();
    assert_eq!(
        made.attrs.get("value"),
        Some(&Value::str("shop.example.net"))
    );
    world.judge();
}
