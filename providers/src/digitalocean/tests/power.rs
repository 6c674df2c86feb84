//! A droplet's power: seen, switched on, and never switched off for good.

use super::*;

fn kept_on() -> DropletArgs {
    DropletArgs {
        power: Some("on".to_owned()),
        ..droplet_args()
    }
}

#[tokio::test]
async fn a_droplet_that_is_off_is_seen_off_and_powered_on() {
    for status in ["off", "archive"] {
        let body: Value = serde_json::from_slice(droplet(status, "s-2vcpu-4gb").body()).unwrap();
        let list = value!({ "droplets": [body["droplet"]], "meta": { "total": 1 } });
        let script = Script::answers([
            ok(list),
            droplet(status, "s-2vcpu-4gb"),
            done(1),
            droplet("active", "s-2vcpu-4gb"),
        ]);
        let known = known("7", kept_on().to_object(), Object::new());
        let seen = droplets(&script)
            .read_all(std::slice::from_ref(&known))
            .await
            .unwrap();
        assert_eq!(seen[&known.id].power, "off", "{status}");
        let attrs = droplets(&script)
            .update(&known, &kept_on(), &changed(&["power"]), &permit())
            .await
            .unwrap();
        assert_eq!(script.body(2), value!({ "type": "power_on" }));
        assert_eq!(attrs.power, "on");
        assert_eq!(script.calls().len(), 4);
    }
}

#[tokio::test]
async fn power_that_is_on_or_nobody_asks_for_is_left_alone() {
    let known = known("7", Object::new(), Object::new());
    for (status, args) in [
        ("active", kept_on()),
        ("new", kept_on()),
        ("off", droplet_args()),
    ] {
        let size = "s-2vcpu-4gb";
        let script = Script::answers([droplet(status, size), droplet(status, size)]);
        droplets(&script)
            .update(&known, &args, &changed(&["power"]), &permit())
            .await
            .unwrap();
        assert_eq!(script.calls().len(), 2, "{status}: only looks");
    }
}

#[tokio::test]
async fn a_cut_off_resize_that_is_seen_as_power_ends_powered_on_once() {
    let known = known("7", Object::new(), Object::new());
    // Shut down, not resized yet: both differ.
    let script = Script::answers([
        droplet("off", "s-1vcpu-2gb"),
        done(1),
        done(2),
        droplet("active", "s-2vcpu-4gb"),
    ]);
    droplets(&script)
        .update(&known, &kept_on(), &changed(&["power", "size"]), &permit())
        .await
        .unwrap();
    let kinds = [1, 2].map(|at| script.body(at)["type"].clone());
    assert_eq!(kinds, ["resize", "power_on"]);
    assert_eq!(script.calls().len(), 4);
}

#[tokio::test]
async fn no_droplet_is_kept_off() {
    let script = Script::answers([]);
    let args = DropletArgs {
        power: Some("off".to_owned()),
        ..droplet_args()
    };
    let known = known("7", Object::new(), Object::new());
    let droplets = droplets(&script);
    let error = droplets
        .update(&known, &args, &changed(&["power"]), &permit())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    let (owner, address): (_, Address) = (owner(), "droplet.a".parse().unwrap());
    let wanted = Wanted {
        owner: &owner,
        address: &address,
        args: &args,
    };
    let failed = droplets.create(wanted, &permit()).await.unwrap_err();
    assert_eq!(failed.error.kind, ErrorKind::Invalid);
    assert!(script.calls().is_empty());
}
